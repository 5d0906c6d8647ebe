/**
 * Searches for secrets in everything that script in a page can read, and in some places that script cannot read.
 * tests/browser/leak.test.mjs shows that these functions find a canary in each place.
 */
import { readHeap } from './heap.mjs'

/**
 * Length of the parts of a secret that are searched for. This is long enough to exclude coincidence, and short enough
 * to find a part of a token.
 */
const WINDOW = 24

/** Distance between the starts of two such parts in a secret. */
const STRIDE = 64

/** @typedef {{ kind: string, value: string }} Secret */
/** @typedef {{ place: string, kind: string, form: string, excerpt: string }} Finding */

// Needles: parts of a secret, in the encodings in which they may be stored.

const hex = (byte) => byte.toString(16).padStart(2, '0')
const bytesOf = (text) => [...Buffer.from(text)]
const mapBytes = (text, write, glue = '') => bytesOf(text).map(write).join(glue)

/**
 * Returns the base64 encoding of a string that follows `shift` other bytes, without the characters that depend on
 * surrounding bytes.
 */
const base64 = (text, shift) => {
  const whole = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString('base64')
  return whole.slice(shift && 4, 4 * Math.floor((shift + text.length) / 3))
}

const FORMS = {
  plain: (text) => text,
  base64: (text) => base64(text, 0),
  'base64, shifted by one byte': (text) => base64(text, 1),
  'base64, shifted by two bytes': (text) => base64(text, 2),
  hex: (text) => mapBytes(text, hex),
  HEX: (text) => mapBytes(text, hex).toUpperCase(),
  percent: (text) => mapBytes(text, (byte) => `%${hex(byte)}`),
  'of a form': (text) => new URLSearchParams({ '': text }).toString().slice(1),
  'of a URL': (text) => encodeURIComponent(text),
  PERCENT: (text) => mapBytes(text, (byte) => `%${hex(byte).toUpperCase()}`),
  'escaped in JSON': (text) => mapBytes(text, (byte) => `\\u00${hex(byte)}`),
  'a list of numbers': (text) => mapBytes(text, String, ','),
  'UTF-16': (text) => mapBytes(text, (byte) => `${String.fromCharCode(byte)}\0`),
  backwards: (text) => [...text].reverse().join(''),
}

function windowsOf(value) {
  const last = value.length - WINDOW
  if (last <= 0) return [value]
  const starts = Array.from({ length: Math.ceil(last / STRIDE) }, (_, index) => index * STRIDE)
  return [...starts, last].map((start) => value.slice(start, start + WINDOW))
}

function needlesOf({ kind, value }) {
  return windowsOf(value).flatMap((text) =>
    Object.entries(FORMS).flatMap(([form, write]) => {
      const needle = write(text)
      const forms = form.startsWith('base64') ? [needle, toUrlAlphabet(needle)] : [needle]
      return [...new Set(forms)].map((written) => ({ kind, form, written }))
    }),
  )
}

const toUrlAlphabet = (text) => text.replaceAll('+', '-').replaceAll('/', '_')

/** Length of the prefix by which a needle is looked up. The rest of the needle is compared after that. */
const KEY = 8

/**
 * The number of characters that are hashed at each position of a text, and the number of possible hashes. At most
 * positions no needle has the same hash, which makes the search fast.
 */
const HASHED = 4
const HASHES = 1 << 20

/**
 * Finds all secrets in all strings.
 *
 * @param {Record<string, string[]>} places Strings by their source; bytes as Latin-1.
 * @param {Secret[]} secrets
 * @returns {Finding[]}
 */
export function search(places, secrets) {
  const index = new Map()
  const hashes = new Uint8Array(HASHES)
  for (const needle of secrets.flatMap(needlesOf)) {
    const key = needle.written.slice(0, KEY)
    if (!index.has(key)) index.set(key, [])
    index.get(key).push(needle)
    hashes[hash(key, 0)] = 1
  }
  return Object.entries(places).flatMap(([place, texts]) =>
    texts.flatMap((text) => findIn(text, index, hashes).map((finding) => ({ place, ...finding }))),
  )
}

function findIn(text, index, hashes) {
  const findings = []
  for (let at = 0; at + KEY <= text.length; at++) {
    if (!hashes[hash(text, at)]) continue
    for (const { kind, form, written } of index.get(text.substr(at, KEY)) ?? []) {
      if (!text.startsWith(written, at)) continue
      findings.push({ kind, form, excerpt: text.slice(Math.max(0, at - 60), at + 60) })
    }
  }
  return findings
}

function hash(text, at) {
  let mixed = 0
  for (let i = at; i < at + HASHED; i++) mixed = Math.imul(mixed, 613) + text.charCodeAt(i)
  return mixed & (HASHES - 1)
}

// Places

/**
 * Records the messages, console output and addresses of a page, starting before the page's first script. Call this
 * function before `newPage()`.
 *
 * @param {import('playwright-core').BrowserContext} context
 */
export async function record(context) {
  const log = { 'messages sent': [], 'messages received': [], console: [], addresses: [] }
  await context.exposeBinding('recordForTheTest', (_source, place, text) => void log[place].push(text))
  await context.addInitScript(recordMessages)
  context.on('console', (message) => log.console.push(message.text()))
  context.on('weberror', (error) => log.console.push(String(error.error().stack)))
  context.on('page', (page) => page.on('framenavigated', (frame) => log.addresses.push(frame.url())))
  return log
}

/** Runs in each page before its own scripts: records messages of ports, workers and channels. */
function recordMessages() {
  const note = globalThis.recordForTheTest
  /** Decodes parts, because a function can have only some ten thousand arguments. */
  const latin1 = (buffer) => {
    const part = 8192
    const starts = Array.from({ length: Math.ceil(buffer.byteLength / part) }, (_, index) => index * part)
    const bytes = new Uint8Array(buffer)
    return starts.map((start) => String.fromCharCode(...bytes.subarray(start, start + part))).join('')
  }
  const write = (value, seen = new Set()) => {
    if (value instanceof ArrayBuffer) return latin1(value)
    if (ArrayBuffer.isView(value)) return write(value.buffer)
    if (typeof value !== 'object' || value === null) return String(value)
    if (seen.has(value)) return ''
    seen.add(value)
    return Object.entries(value)
      .map(([key, member]) => `${key} ${write(member, seen)}`)
      .join('\n')
  }
  for (const { prototype } of [MessagePort, Worker, BroadcastChannel]) {
    const { postMessage } = prototype
    prototype.postMessage = function (message, ...rest) {
      void note('messages sent', write(message))
      return postMessage.call(this, message, ...rest)
    }
    const { get, set } = Object.getOwnPropertyDescriptor(prototype, 'onmessage')
    const listener = (event) => void note('messages received', write(event.data))
    Object.defineProperty(prototype, 'onmessage', {
      configurable: true,
      get,
      set(handler) {
        this.addEventListener('message', listener)
        return set.call(this, handler)
      },
    })
  }
}

/**
 * Collects everything that the page contains now, and everything that was recorded before.
 *
 * @param {import('playwright-core').Page} page
 * @param {Record<string, string[]>} log From `record()`.
 * @returns {Promise<Record<string, string[]>>}
 */
export async function collect(page, log) {
  const cdp = await page.context().newCDPSession(page)
  try {
    const cookies = await page.context().cookies(page.url())
    const history = await cdp.send('Page.getNavigationHistory')
    const inPage = await page.evaluate(readPage)
    const { strings, buffers, unread } = await readHeap(cdp)
    return {
      ...log,
      ...inPage,
      cookies: [...inPage.cookies, JSON.stringify(cookies)],
      history: [JSON.stringify(history)],
      heap: strings,
      buffers,
      unread,
    }
  } finally {
    await cdp.detach()
  }
}

/**
 * Reads each place that script can read. This function runs in the page, so it cannot use other functions of this file.
 */
export async function readPage() {
  const latin1 = (buffer) => Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('')

  const write = async (value) => {
    if (value instanceof Blob) return latin1(await value.arrayBuffer())
    if (value instanceof ArrayBuffer) return latin1(value)
    if (ArrayBuffer.isView(value)) return latin1(value.buffer)
    if (typeof value !== 'object' || value === null) return String(value)
    const parts = Object.entries(value).map(async ([key, member]) => `${key} ${await write(member)}`)
    return (await Promise.all(parts)).join('\n')
  }

  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })

  const readDatabase = async ({ name }) => {
    const database = await done(indexedDB.open(name))
    const stores = [...database.objectStoreNames].map(async (store) => {
      const source = database.transaction(store).objectStore(store)
      const [keys, values] = await Promise.all([done(source.getAllKeys()), done(source.getAll())])
      return write([name, store, keys, values])
    })
    const texts = await Promise.all(stores)
    database.close()
    return texts
  }

  const readCache = async (name) => {
    const cache = await caches.open(name)
    const requests = await cache.keys()
    const answers = requests.map(async (request) => {
      const answer = await cache.match(request)
      return [request.url, ...[...answer.headers].flat(), latin1(await answer.arrayBuffer())].join('\n')
    })
    return Promise.all(answers)
  }

  const readRoot = (root) => [
    root.documentElement?.outerHTML ?? root.innerHTML,
    ...[...root.querySelectorAll('input, textarea')].map(({ value }) => value),
    ...[...root.querySelectorAll('*')].flatMap(({ shadowRoot }) => (shadowRoot ? readRoot(shadowRoot) : [])),
  ]

  return {
    localStorage: [JSON.stringify(localStorage)],
    sessionStorage: [JSON.stringify(sessionStorage)],
    indexedDB: (await Promise.all((await indexedDB.databases()).map(readDatabase))).flat(),
    caches: (await Promise.all((await caches.keys()).map(readCache))).flat(),
    cookies: [document.cookie],
    address: [location.href, document.referrer, window.name, JSON.stringify(history.state)],
    performance: [JSON.stringify(performance.getEntries())],
    dom: readRoot(document),
  }
}
