// Attacks on the bridge of an extension, by everything that is not a page or the service worker of the extension itself.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, giveConsent, waitUntil } from '../support/app.mjs'
import { startExtension } from '../support/extension.mjs'
import { listen } from '../support/listen.mjs'
import { PROTOCOL } from '../../pkg/glue/constants.js'

const time = { timeout: 60_000 }

/**
 * Speaks the messages of a page of the extension, and calls the API. Resolves with the kinds of all messages that
 * arrived, when the API's response has arrived or when the port is closed. `id` is another extension's id, if the attacker
 * is not a part of the extension.
 */
function attack({ version, url, id }) {
  return new Promise((resolve) => {
    const port = id
      ? chrome.runtime.connect(id, { name: 'strongroom' })
      : chrome.runtime.connect({ name: 'strongroom' })
    const kinds = []
    const send = (message) => port.postMessage([JSON.stringify(message)])
    port.onDisconnect.addListener(() => resolve([...kinds, 'closed']))
    port.onMessage.addListener((message) => {
      if (!Array.isArray(message)) return
      const { t } = JSON.parse(message[0])
      kinds.push(t)
      if (t === 'head' || t === 'error') resolve(kinds)
    })
    send({ t: 'hello', version, loaded: 1 })
    send({ t: 'fetch', id: 1, url, method: 'GET', headers: [] })
  })
}

const CONTENT_SCRIPT = `
const attack = ${attack}
addEventListener('message', async ({ data }) => {
  if (data.attack) postMessage({ outcome: await attack(data.attack) })
})
`

/** The offscreen document without the check of the sender: each port looks like one of this document. */
const CREDULOUS = `
import { serveVault } from './extension.js'
const sender = { id: chrome.runtime.id, url: location.href, origin: location.origin }
const { onConnect } = chrome.runtime
const add = onConnect.addListener.bind(onConnect)
onConnect.addListener = (listener) =>
  add((port) => listener(Object.defineProperty(port, 'sender', { value: sender })))
serveVault(() => new Worker(new URL('./auth.worker.js', import.meta.url), { type: 'module' }))
`

const MANIFEST = {
  content_scripts: [
    {
      matches: ['http://localhost/*'],
      js: ['content.js'],
      run_at: 'document_start',
      all_frames: true,
      match_origin_as_fallback: true,
    },
  ],
  externally_connectable: { matches: ['http://localhost/*'], ids: ['*'] },
  web_accessible_resources: [{ resources: ['popup.html'], matches: ['http://localhost/*'] }],
}

let web, extension

before(async () => {
  web = await listen({
    host: 'localhost',
    handler(request, response) {
      response.setHeader('Content-Type', 'text/html')
      const frame = new URL(request.url, 'http://web').searchParams.get('frame')
      response.end(frame ? `<iframe src="${frame}"></iframe>` : 'a web page')
    },
  })
  extension = await start()
})
after(async () => {
  await extension?.close()
  await web?.close()
})

/** Starts the extension, and signs the user in. */
async function start(files = {}) {
  const started = await startExtension({
    manifest: MANIFEST,
    files: { 'content.js': CONTENT_SCRIPT, ...files },
    others: { 'background.js': '' },
  })
  const background = await started.background()
  const opened = started.context.waitForEvent('page')
  const login = background.evaluate(() => settle(auth.login()))
  await giveConsent(await opened)
  assert.equal((await login).value.claims.sub, 'alice')
  return started
}

const plan = ({ api, id }, fromOutside) => ({
  version: PROTOCOL,
  url: `${api.url}me`,
  ...(fromOutside && { id }),
})

/** Opens a web page, with a frame if an address is given. */
async function openWeb({ context }, frame = '') {
  const page = await context.newPage()
  await page.goto(`${web.origin}/?frame=${encodeURIComponent(frame)}`)
  return page
}

/** Lets the content script in this page or frame attack. Resolves with the outcome. */
const attackByContentScript = (target, from) =>
  target.evaluate(
    (given) =>
      new Promise((resolve) => {
        addEventListener('message', ({ data }) => data.outcome && resolve(data.outcome))
        postMessage({ attack: given })
      }),
    plan(from),
  )

/** Runs an attack that must fail: the port is closed, no message has arrived, and the API was not called. */
async function fails(attacking) {
  extension.api.clear()
  assert.deepEqual(await attacking(), ['closed'])
  assert.deepEqual(extension.api.requests, [])
}

// claim: extension-1
test('control: the attack succeeds in a page of the extension', time, async () => {
  const popup = await extension.open()
  assert.ok((await popup.evaluate(attack, plan(extension))).includes('head'))
})

// claim: extension-1
test('control: without the check of the sender the attack succeeds', time, async () => {
  const credulous = await start({ 'offscreen.js': CREDULOUS })
  try {
    const page = await openWeb(credulous)
    assert.ok((await attackByContentScript(page, credulous)).includes('head'))
    assert.equal(credulous.api.requests.at(-1).status, 200)
  } finally {
    await credulous.close()
  }
})

// claim: extension-1
test('content script is refused', time, async () => {
  const page = await openWeb(extension)
  await fails(() => attackByContentScript(page, extension))
})

// claim: extension-1
test('content script in a frame without an origin is refused', time, async () => {
  const page = await openWeb(extension, 'about:blank')
  await fails(() => attackByContentScript(page.frames()[1], extension))
})

// claim: extension-1
test('page of the extension in a frame of a web page is refused', time, async () => {
  const page = await openWeb(extension, `${extension.origin}/popup.html`)
  const frame = page.frames()[1]
  assert.equal(await frame.evaluate(() => location.origin), extension.origin)
  await fails(() => frame.evaluate(attack, plan(extension)))
})

// claim: extension-1
test('web page that may connect is refused', time, async () => {
  const page = await openWeb(extension)
  await fails(() => page.evaluate(attack, plan(extension, true)))
})

// claim: extension-1
test('another extension is refused', time, async () => {
  const other = extension.context
    .serviceWorkers()
    .find((worker) => !worker.url().startsWith(extension.origin))
  await fails(() => other.evaluate(attack, plan(extension, true)))
})

// claim: extension-2
test('no token crosses the bridge', time, async () => {
  const popup = await extension.open()
  const wire = await popup.evaluate(
    ({ version, url }) =>
      new Promise((resolve) => {
        const received = []
        const connect = () => {
          const port = chrome.runtime.connect({ name: 'strongroom' })
          port.onMessage.addListener((message) => {
            received.push(message)
            const [text, [, body] = []] = Array.isArray(message) ? message : ['']
            if (!body) return
            received.push(atob(body.base64), text)
            resolve(JSON.stringify(received))
          })
          // Chromium closes the port if the offscreen document does not listen yet.
          port.onDisconnect.addListener(connect)
          port.postMessage([JSON.stringify({ t: 'hello', version, loaded: 1 })])
          port.postMessage([JSON.stringify({ t: 'fetch', id: 1, url, method: 'GET', headers: [] })])
        }
        connect()
      }),
    plan(extension),
  )
  const [, token] = extension.api.requests.at(-1).authorization.split(' ')
  assert.ok(token.length > 100)
  assert.equal(wire.includes(token), false)
  // Control: the search finds what the API has responded.
  assert.ok(wire.includes('alice'))
})

test('the attacks have not disturbed the vault', time, async () => {
  const background = await extension.background()
  await waitUntil(background, () => states.at(-1) === 'alice')
  assert.equal((await call(background, `${extension.api.url}me`)).value.status, 200)
})
