// login() of a user who is signed in: it has nothing to do unless the app asks the provider for something, or something
// shows that the session is not enough.
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
const { connect } = await load('page/connect.ts')

const opened = []
globalThis.open = window.open = () => {
  opened.push({ close() {}, location: { assign() {} } })
  return opened.at(-1)
}
const clients = []

afterEach(() => {
  for (const client of clients.splice(0)) client.close()
  opened.length = 0
})

const SESSION = { claims: { sub: 'alice' }, state: 'active', startedAt: 5 }

/** Connects to a vault, which then announces `session`. */
async function start(session = SESSION) {
  const worker = new FakeWorker()
  const client = await connect(worker)
  clients.push(client)
  const change = async (next) => {
    worker.announce({ t: 'session', session: next, reason: null })
    await settled()
  }
  await change(session)
  /** Returns true if this login asks the vault for a request to the provider. */
  const asks = async (options) => {
    const count = () => worker.received.filter(({ t }) => t === 'login').length
    const before = count()
    let session
    client.login(options).then(
      (result) => (session = result),
      () => {},
    )
    await settled()
    if (count() === before) assert.deepEqual(session, client.session, 'the login has not resolved')
    return count() > before
  }
  return { client, worker, change, asks }
}

test('login() of a user who is signed in resolves at once', async () => {
  const { asks } = await start()
  const signal = new AbortController().signal
  for (const options of [undefined, {}, { mode: 'redirect' }, { signal, timeout: 5, prompt: undefined }]) {
    assert.equal(await asks(options), false, JSON.stringify(options))
  }
  assert.equal(await asks({ mode: 'popup', detectClose: true }), false)
  assert.equal(opened.length, 0)
})

test('login() with an option that concerns the provider or the target goes to the provider', async () => {
  const { asks } = await start()
  for (const options of [
    { prompt: 'select_account' },
    { mode: 'popup', prompt: 'login' },
    { acrValues: 'urn:mfa' },
    { maxAge: 0 },
    { scope: 'orders.write' },
    { loginHint: 'bob' },
    { uiLocales: 'de' },
    { params: { audience: 'x' } },
    { returnTo: '/orders' },
    { mode: 'device', onCode() {} },
    { unknown: '1' },
  ]) {
    assert.equal(await asks(options), true, JSON.stringify(options))
  }
})

test('login() that is canceled before it begins does not resolve', async () => {
  const { client } = await start()
  await assert.rejects(client.login({ signal: AbortSignal.abort() }), { code: 'login_canceled' })
})

test('login() goes to the provider without an active session', async () => {
  assert.equal(await (await start(null)).asks(), true)
  assert.equal(await (await start({ ...SESSION, state: 'interaction_required' })).asks(), true)
})

test('login() goes to the provider if the session is about to end', async () => {
  const { worker, change, asks } = await start()
  worker.announce({ t: 'expiring', at: 1 })
  await settled()
  assert.equal(await asks(), true)
  // Activity of the user has postponed the end.
  await change({ ...SESSION, idleExpiresAt: 9 })
  assert.equal(await asks(), false)
})

/** Has the vault refuse a call with this error, or respond with this status. */
const call = async ({ client, worker }, answer) => {
  const outcome = client.fetch('https://api.example/').then(
    () => 'resolved',
    ({ code }) => code,
  )
  await settled()
  const { id } = worker.received.findLast(({ t }) => t === 'fetch')
  worker.ports[0].postMessage([JSON.stringify({ id, ...answer }), [[]]])
  return outcome
}

test('login() goes to the provider if a call was refused because the user is needed', async () => {
  for (const refusal of [
    { code: 'interaction_required' },
    { code: 'step_up_required', login: { acrValues: 'urn:mfa' } },
    { code: 'insufficient_scope', login: { scope: 'orders' } },
  ]) {
    const page = await start()
    assert.equal(await call(page, { t: 'error', message: '', ...refusal }), refusal.code)
    assert.equal(await page.asks(), true, refusal.code)
    // A refresh does not change what the call needs.
    await page.change({ ...SESSION, accessTokenExpiresAt: 9 })
    assert.equal(await page.asks(), true, refusal.code)
    // The user has signed in again.
    await page.change({ ...SESSION, startedAt: 6 })
    assert.equal(await page.asks(), false, refusal.code)
  }
})

test('other refusals of calls do not need the user', async () => {
  const page = await start()
  assert.equal(await call(page, { t: 'error', message: '', code: 'url_not_allowed' }), 'url_not_allowed')
  assert.equal(await page.asks(), false)
})

test('login() goes to the provider after an API has refused the access token', async () => {
  const page = await start()
  const head = (status) => ({ t: 'head', status, statusText: '', url: 'https://api.example/', body: false })
  await call(page, head(403))
  assert.equal(await page.asks(), false)
  await call(page, head(401))
  assert.equal(await page.asks(), true)
})
