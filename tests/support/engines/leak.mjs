/**
 * Collects everything that script in a page can read, in every engine. A script that runs before all others records the
 * page's messages, console output, errors and addresses, because not every engine reports them to its driver.
 */
import { listen } from '../listen.mjs'
import { readBody } from '../body.mjs'
import { readPage } from '../leak.mjs'

/**
 * Records everything that passes through a page. This function runs in each page of the app, before the page's own
 * scripts.
 */
function recorder(server) {
  const { fetch } = globalThis
  const own = new Set(Reflect.ownKeys(globalThis))
  const pending = new Set()
  const note = (place, text) => {
    const send = (keepalive) =>
      fetch(`${server}/${place}`, { method: 'POST', mode: 'no-cors', body: text, keepalive })
    // With `keepalive` the request can finish after the browser has left the page, but the number of bytes in flight is
    // limited.
    const sent = send(true).catch(() => send(false))
    pending.add(sent)
    sent.catch(() => {}).finally(() => pending.delete(sent))
  }
  const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
  const write = (value, seen = new Set()) => {
    if (value instanceof ArrayBuffer) return latin1(new Uint8Array(value))
    if (ArrayBuffer.isView(value)) return write(value.buffer)
    if (typeof value !== 'object' || value === null) return String(value)
    if (seen.has(value)) return ''
    seen.add(value)
    const errors =
      value instanceof Error ? [value.name, value.message, value.stack, write(value.cause, seen)] : []
    const members = Object.entries(value).map(([key, member]) => `${key} ${write(member, seen)}`)
    return [...errors, ...members].join('\n')
  }

  for (const { prototype } of [MessagePort, Worker, BroadcastChannel]) {
    const { postMessage } = prototype
    prototype.postMessage = function (message, ...rest) {
      note('messages', write(message))
      return postMessage.call(this, message, ...rest)
    }
    const { get, set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage')
    const listener = (event) => note('messages', write(event.data))
    Object.defineProperty(prototype, 'onmessage', {
      configurable: true,
      get,
      set(handler) {
        this.addEventListener('message', listener)
        return set.call(this, handler)
      },
    })
  }
  for (const level of ['debug', 'log', 'info', 'warn', 'error', 'trace', 'dir']) {
    const plain = console[level]
    console[level] = (...values) => {
      note('console', values.map((value) => write(value)).join('\n'))
      return plain.apply(console, values)
    }
  }
  addEventListener('error', ({ message, error }) => note('errors', `${message}\n${write(error)}`))
  addEventListener('unhandledrejection', ({ reason }) => note('errors', write(reason)))
  addEventListener('securitypolicyviolation', ({ blockedURI }) => note('errors', blockedURI))
  for (const type of ['hashchange', 'popstate'])
    addEventListener(type, () => note('addresses', location.href))
  note('addresses', `${location.href}\n${document.referrer}`)

  /** Resolves with all strings that can be reached from the properties that the page has added to its global object. */
  const globals = async () => {
    const seen = new Set()
    const texts = []
    const walk = async (value) => {
      if (typeof value === 'string' || typeof value === 'symbol') return void texts.push(String(value))
      if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value))
        return
      seen.add(value)
      if (value instanceof Node || value === globalThis) return
      if (value instanceof Blob) return void texts.push(latin1(new Uint8Array(await value.arrayBuffer())))
      if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return void texts.push(write(value))
      if (value instanceof Promise) return
      if (value instanceof Map || value instanceof Set) for (const entry of value) await walk(entry)
      for (const key of Reflect.ownKeys(value)) {
        texts.push(String(key))
        try {
          await walk(value[key])
        } catch {
          // Some of the platform's properties cannot be read.
        }
      }
    }
    for (const key of Reflect.ownKeys(globalThis)) {
      if (own.has(key)) continue
      texts.push(String(key))
      await walk(globalThis[key])
    }
    return texts
  }
  // This property is not enumerable, so that the search does not search itself.
  const tools = { globals, settled: () => Promise.all(pending) }
  own.add('recorderForTheTest')
  Object.defineProperty(globalThis, 'recorderForTheTest', { value: tools })
}

/** Records the pages of an app that `serveApp()` started. The records are in `app.watched`. */
export async function watch(app) {
  app.watched = { messages: [], console: [], errors: [], addresses: [] }
  const server = await listen({
    async handler(request, response) {
      app.watched[request.url.slice(1)].push((await readBody(request)).toString())
      response.writeHead(204).end()
    },
  })
  app.site.files['/recorder.js'] = `(${recorder})('${server.origin}')`
  const page = app.site.files['/index.html']
  app.site.files['/index.html'] = page.replace('<script', '<script src="/recorder.js"></script>\n    <script')
  app.site.pageCsp = app.site.pageCsp.replace(/connect-src .*/, `connect-src ${server.origin}`)
  const { close } = app
  app.close = () => Promise.all([close(), server.close()])
}

/**
 * Collects everything that the page contains now, and everything that was recorded before.
 *
 * @param {import('./driver.mjs').Tab} tab
 * @returns {Promise<Record<string, string[]>>} Strings by their source; bytes as Latin-1.
 */
export async function collect(tab, app) {
  await tab.evaluate(() => recorderForTheTest.settled())
  const inPage = await tab.evaluate(readPage)
  const globals = await tab.evaluate(() => recorderForTheTest.globals())
  const cookies = JSON.stringify(await tab.cookies())
  return {
    ...app.watched,
    ...inPage,
    globals,
    cookies: [...inPage.cookies, cookies],
    console: [...app.watched.console, ...(tab.console ?? [])],
  }
}

/**
 * Functions that plant a canary in the page, each with the place in which the search must find the canary.
 *
 * @type {Record<string, { place: string, plant: (value: string) => unknown }>}
 */
export const PLANTS = {
  localStorage: { place: 'localStorage', plant: (value) => localStorage.setItem('a', value) },
  sessionStorage: { place: 'sessionStorage', plant: (value) => sessionStorage.setItem('a', value) },
  IndexedDB: {
    place: 'indexedDB',
    plant: (value) =>
      new Promise((resolve) => {
        const opening = indexedDB.open('canary', 1)
        opening.onupgradeneeded = () => opening.result.createObjectStore('store')
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('store', 'readwrite')
          transaction.objectStore('store').put({ deep: [new TextEncoder().encode(value)] }, 1)
          transaction.oncomplete = () => resolve(opening.result.close())
        }
      }),
  },
  'the Cache API': {
    place: 'caches',
    plant: async (value) => (await caches.open('canary')).put('/x', new Response(value)),
  },
  'a cookie': { place: 'cookies', plant: (value) => void (document.cookie = `a=${value}; path=/`) },
  'a message that is sent': {
    place: 'messages',
    plant: (value) => new MessageChannel().port1.postMessage({ text: [value] }),
  },
  'a message that is received': {
    place: 'messages',
    plant: (value) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = () => resolve()
        port2.postMessage(new TextEncoder().encode(value))
      }),
  },
  'the address': { place: 'address', plant: (value) => history.replaceState(null, '', `#${value}`) },
  'the history’s state': { place: 'address', plant: (value) => history.replaceState({ value }, '', '') },
  'the console': { place: 'console', plant: (value) => console.debug('a', value) },
  'an error in the console': { place: 'console', plant: (value) => console.error(new Error(value)) },
  'an uncaught error': {
    place: 'errors',
    plant: (value) =>
      new Promise((resolve) => {
        addEventListener('error', () => resolve(), { once: true })
        setTimeout(() => {
          throw new Error(value)
        })
      }),
  },
  'a performance entry': { place: 'performance', plant: (value) => void performance.mark(value) },
  'an attribute': { place: 'dom', plant: (value) => document.body.setAttribute('data-a', value) },
  'a form’s field': {
    place: 'dom',
    plant: (value) => {
      document.body.append(Object.assign(document.createElement('input'), { value }))
    },
  },
  'a global': { place: 'globals', plant: (value) => void (globalThis.keep = { deep: [{ [value]: 1 }] }) },
  'a global Map of bytes': {
    place: 'globals',
    plant: (value) => void (globalThis.keep = new Map([['a', new TextEncoder().encode(value)]])),
  },
  'a global Blob, in base64': {
    place: 'globals',
    plant: (value) => void (globalThis.keep = new Blob([btoa(`?${value}`)])),
  },
}
