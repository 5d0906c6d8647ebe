// A login by `mode: 'custom'` in a page: the app's function opens the authorization URL and returns the response.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
// No time passes, except where a test says so.
mock.timers.enable({ apis: ['setTimeout'] })
const { connect, handlerLogin } = await load('page/connect.ts', 'page/token-handler/handler-login.ts')

const REQUEST = 'https://id.example/authorize?state=s'
const RESPONSE = 'com.example.app:/callback?code=c&state=s'

/** Begins a login, and lets the vault respond with the authorization URL. */
async function begin(options) {
  const worker = new FakeWorker({})
  const client = await connect(worker)
  const abort = new AbortController()
  const outcome = client.login({ mode: 'custom', signal: abort.signal, ...options }).then(
    () => ({}),
    ({ code, message }) => ({ code, message }),
  )
  await settled()
  const sent = (t) => worker.received.filter((message) => message.t === t)
  const [login] = sent('login')
  const respond = (t, id, more) => worker.announce({ t, id, ...more })
  if (login) respond('navigate', login.id, { url: REQUEST })
  await settled()
  return { client, abort, outcome, sent, login, respond }
}

/** Returns a function `open` that is pending, with the arguments of its call. */
function pending() {
  const calls = []
  let resolve
  const address = new Promise((settle) => (resolve = settle))
  const open = (url, { signal }) => (calls.push({ url, signal }), address)
  return { open, calls, resolve }
}

test('the address that the app returns goes to the vault', async () => {
  const opened = pending()
  const { client, outcome, sent, login, respond } = await begin({ open: opened.open, port: 8400 })
  assert.deepEqual([login.mode, login.port, login.open], ['custom', 8400, undefined])
  assert.equal(opened.calls[0].url, REQUEST)
  opened.resolve(RESPONSE)
  await settled()
  const [callback] = sent('callback')
  assert.equal(callback.url, RESPONSE)
  respond('settled', callback.id, { returnTo: '/', popup: true })
  respond('done', login.id, { url: null, revoked: false })
  assert.deepEqual(await outcome, {})
  await settled()
  assert.equal(opened.calls[0].signal.aborted, false)
  assert.equal(sent('cancel').length, 0)
  client.close()
})

test('login is canceled if the app returns no address', async () => {
  const open = async () => undefined
  const { client, outcome, sent } = await begin({ open })
  assert.equal((await outcome).code, 'login_canceled')
  assert.equal(sent('cancel').length, 1)
  client.close()
})

for (const [how, open] of [
  ['rejects', () => Promise.reject(new Error('the window was closed'))],
  [
    'throws',
    () => {
      throw new Error('the window was closed')
    },
  ],
]) {
  test(`login is canceled if the app's function ${how}`, async () => {
    const { client, outcome, sent } = await begin({ open })
    const { code, message } = await outcome
    assert.equal(code, 'login_canceled')
    assert.match(message, /open\(\) rejected: the window was closed/)
    assert.equal(sent('cancel').length, 1)
    client.close()
  })
}

test('canceling the login aborts the function that opens', async () => {
  const opened = pending()
  const { client, abort, outcome, sent } = await begin({ open: opened.open })
  assert.equal(opened.calls[0].signal.aborted, false)
  abort.abort()
  assert.equal((await outcome).code, 'login_canceled')
  assert.equal(opened.calls[0].signal.aborted, true)
  opened.resolve(RESPONSE)
  await settled()
  assert.equal(sent('callback').length, 0)
  client.close()
})

test('time limit of the login aborts the function', async () => {
  const opened = pending()
  const { client, outcome } = await begin({ open: opened.open, timeout: 60 })
  mock.timers.tick(60_000)
  assert.equal((await outcome).code, 'timeout')
  assert.equal(opened.calls[0].signal.aborted, true)
  client.close()
})

test('refusal of the response ends the login', async () => {
  const { client, outcome, sent, respond } = await begin({ open: () => RESPONSE })
  const [callback] = sent('callback')
  respond('error', callback.id, { code: 'redirect_uri_mismatch', message: '' })
  assert.equal((await outcome).code, 'redirect_uri_mismatch')
  await settled()
  assert.equal(sent('cancel').length, 1)
  client.close()
})

test('response to another login ends the login', async () => {
  const { client, outcome, sent, respond } = await begin({ open: () => RESPONSE })
  respond('settled', sent('callback')[0].id, { returnTo: '/', popup: true })
  await settled()
  respond('error', sent('inspect')[0].id, { code: 'unsupported', message: '' })
  assert.equal((await outcome).code, 'callback_invalid')
  client.close()
})

test('open and the mode need each other', async () => {
  for (const options of [
    { open: undefined },
    { open: 'https://id.example/' },
    { mode: 'redirect', open: () => RESPONSE },
    { mode: undefined, open: () => RESPONSE },
  ]) {
    const { client, outcome, login } = await begin(options)
    assert.equal((await outcome).code, 'message_invalid')
    assert.equal(login, undefined)
    client.close()
  }
})

test('client of a token handler refuses the mode', async () => {
  const context = { state: {}, refuse: async (code, message) => assert.fail(`${code}: ${message}`) }
  for (const options of [
    { mode: 'custom', open: () => RESPONSE },
    { open: () => RESPONSE },
    { port: 8400 },
  ]) {
    await assert.rejects(handlerLogin(context, options), /unsupported: .* needs a vault in the browser/)
  }
})
