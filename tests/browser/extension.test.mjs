// The vault of a browser extension: a real unpacked extension (Manifest V3) in Chromium, with a real provider. The popup's
// page is opened in a tab, because headless Chromium shows no popups of extensions.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { call, giveConsent, waitUntil } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { startExtension } from '../support/extension.mjs'

const time = { timeout: 60_000 }

let extension, background, popup

before(async () => {
  extension = await startExtension()
  background = await extension.background()
  popup = await extension.open()
})
after(() => extension?.close())

/** Signs in in the service worker, by Chromium's own window for logins. */
async function signIn(options) {
  const opened = extension.context.waitForEvent('page')
  const login = background.evaluate((given) => settle(auth.login(given)), options)
  const view = await opened
  const outcome = await Promise.all([login, giveConsent(view)])
  return outcome[0]
}

/** Resolves when the last request for this path has arrived at the API. */
async function arrived(path) {
  for (;;) {
    const entry = extension.api.requests.findLast((request) => request.path.startsWith(path))
    if (entry) return entry
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const url = (path) => extension.api.url + path

test('launchWebAuthFlow signs the service worker in', time, async () => {
  const { value } = await signIn()
  assert.equal(value.claims.sub, 'alice')
  const { value: response } = await call(background, url('orders'))
  assert.equal(response.status, 200)
  const request = extension.ledger.tokenRequests().at(-1)
  assert.deepEqual([request.grant, request.outcome], ['authorization_code', 'issued'])
})

leftOut('a page of the extension shares the session', time, async () => {
  await waitUntil(popup, () => states.at(-1) === 'alice')
  assert.equal((await call(popup, url('me'))).value.status, 200)
})

test('an expired access token is refreshed', time, async () => {
  const before = extension.ledger.tokenRequests().length
  const now = await background.evaluate(() => auth.state.session.accessTokenExpiresAt)
  await waitUntil(background, (at) => Date.now() > at, now, { timeout: 30_000 })
  assert.equal((await call(background, url('me'))).value.status, 200)
  const refreshes = extension.ledger.tokenRequests().slice(before)
  assert.deepEqual(
    refreshes.map(({ grant, outcome }) => [grant, outcome]),
    [['refresh_token', 'issued']],
  )
})

leftOut('the session outlives the service worker', time, async () => {
  const before = await background.evaluate(() => performance.timeOrigin)
  await extension.stopBackground(popup)
  assert.equal((await call(popup, url('me'))).value.status, 200)
  assert.ok((await extension.wakeBackground(popup)) > before)
  const session = await background.evaluate(async () => (await auth.connect()).session.claims.sub)
  assert.equal(session, 'alice')
  assert.equal((await call(background, url('me'))).value.status, 200)
})

leftOut('chunks of a stream arrive before its end', time, async () => {
  const lines = await background.evaluate(async (address) => {
    const response = await auth.fetch(address)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    const times = []
    for (let read; !(read = await reader.read()).done;) times.push(performance.now())
    return times.at(-1) - times[0]
  }, url('stream?n=3&interval=1000'))
  assert.ok(lines >= 500, `${lines}`)
})

leftOut('a large body arrives unchanged in both directions', time, async () => {
  const size = 5_000_000
  const { sent, digest } = await popup.evaluate(
    async ([upload, bytes, length]) => {
      const hex = (buffer) =>
        Array.from(new Uint8Array(buffer), (b) => b.toString(16).padStart(2, '0')).join('')
      const body = new Uint8Array(length).map((_, i) => i * 31)
      const response = await auth.fetch(upload, { method: 'POST', body: new Blob([body]) })
      const received = await (await auth.fetch(bytes)).arrayBuffer()
      const sha256 = async (data) => hex(await crypto.subtle.digest('SHA-256', data))
      const { sha256: seen, size } = await response.json()
      return { sent: [size, seen === (await sha256(body))], digest: await sha256(received) }
    },
    [url('upload'), url(`bytes?size=${size}`), size],
  )
  assert.deepEqual(sent, [size, true])
  const block = Buffer.alloc(64 * 1024, 'strongroom ')
  const expected = Buffer.alloc(size)
  for (let at = 0; at < size; at += block.length) block.copy(expected, at)
  assert.equal(digest, createHash('sha256').update(expected).digest('hex'))
})

leftOut('an abort ends the request at the API', time, async () => {
  extension.api.clear()
  const outcome = background.evaluate((address) => {
    globalThis.abort = new AbortController()
    return settle(auth.fetch(address, { signal: abort.signal }))
  }, url('slow?ms=60000'))
  const entry = await arrived('/v1/slow')
  await background.evaluate(() => abort.abort())
  assert.equal((await outcome).error.name, 'AbortError')
  await entry.closed
  assert.equal(entry.aborted, true)
})

leftOut('a refusal keeps its code', time, async () => {
  const { error } = await call(background, `${extension.api.origin}/elsewhere`)
  assert.deepEqual([error.code, error.isStrongroomError], ['url_not_allowed', true])
})

// claim: extension-4
test('calls of a service worker that ends are aborted', time, async () => {
  extension.api.clear()
  background.evaluate((address) => auth.fetch(address), url('slow?ms=60000')).catch(() => {})
  const entry = await arrived('/v1/slow')
  await extension.stopBackground(popup)
  await entry.closed
  assert.equal(entry.aborted, true)
  await extension.wakeBackground(popup)
})

leftOut('what cannot cross the bridge is refused', time, async () => {
  const outcome = await popup.evaluate(async (upload) => {
    const post = async (body) =>
      (await settle(auth.fetch(upload, { method: 'POST', body, duplex: 'half' }))).error.code
    const socket = auth.webSocket(upload)
    const failed = new Promise((resolve) => (socket.onerror = ({ error }) => resolve(error.code)))
    return [
      await post(new Blob([]).stream()),
      await post(new ArrayBuffer(32 * 1024 * 1024 + 1)),
      await failed,
      (await settle(auth.logout({ provider: true }))).error.code,
      (await settle(auth.login({ mode: 'popup' }))).error.code,
    ]
  }, url('upload'))
  assert.deepEqual(outcome, ['unsupported', 'limit_exceeded', 'unsupported', 'unsupported', 'unsupported'])
  assert.equal((await call(popup, url('me'))).value.status, 200)
})

// claim: extension-3
test('a malformed message ends only its own connection', time, async () => {
  for (const message of [
    null,
    'text',
    {},
    [],
    [1],
    ['{}', {}, 1],
    ['{}', { base64: '?' }],
    ['{'.repeat(300_000)],
  ]) {
    const received = await popup.evaluate(
      (sent) =>
        new Promise((resolve) => {
          const port = chrome.runtime.connect({ name: 'strongroom' })
          const texts = []
          port.onMessage.addListener((text) => texts.push(text))
          port.onDisconnect.addListener(() => resolve(texts))
          port.postMessage(sent)
        }),
      message,
    )
    assert.equal(
      JSON.parse(received.at(-1)[0]).code,
      'message_invalid',
      JSON.stringify(message)?.slice(0, 40),
    )
  }
  assert.equal((await call(popup, url('me'))).value.status, 200)
})

test('sign-out ends the session everywhere, and revokes it', time, async () => {
  assert.equal((await call(background, url('me'))).value.status, 200)
  await waitUntil(background, () => states.at(-1) === 'alice')
  const { revoked } = await popup.evaluate(() => auth.logout())
  assert.equal(revoked, true)
  await waitUntil(background, () => auth.state.session === null)
  assert.equal((await call(background, url('me'))).error.code, 'login_required')
})

leftOut('a closed login window cancels the login', time, async () => {
  const opened = extension.context.waitForEvent('page')
  const login = background.evaluate(() => settle(auth.login()))
  await (await opened).close()
  const { error } = await login
  assert.equal(error.code, 'login_canceled')
})
