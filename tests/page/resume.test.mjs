// Apps of one origin share its storage, but neither the attempts to resume a session nor the end of the last session.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

// No time passes.
mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 })
const { connect } = await load('page/connect.ts')

beforeEach(() => void fakePage())

/** Opens a page of an app, which resumes by redirect. Its attempt to resume a session fails with the error `code`. */
async function open(app, user, code = 'provider_unavailable') {
  const worker = Object.assign(new FakeWorker({ user }), { app })
  const connected = connect(worker, { resume: 'redirect' })
  await settled()
  const login = worker.received.find(({ t }) => t === 'login')
  if (login) worker.announce({ t: 'error', id: login.id, code, message: '' })
  return { worker, auth: await connected, attempted: !!login }
}

/** Opens a page of an app. Resolves with true if it tried to resume a session. */
async function attempts(app) {
  const { auth, attempted } = await open(app)
  auth.close()
  return attempted
}

/** Signs the user of an app out. */
async function signOut(app) {
  const { auth } = await open(app, 'alice')
  await auth.logout()
  await settled()
  auth.close()
}

test('failed attempt of an app does not delay another app', async () => {
  assert.equal(await attempts('one'), true)
  assert.equal(await attempts('one'), false)
  assert.equal(await attempts('two'), true)
  assert.equal(await attempts('two'), false)
})

test('response to another app at the page’s address begins no attempt', async () => {
  const address = 'https://app.example/callback?code=c&state=0123.8'
  location.href = address
  assert.equal(await attempts(7), false)
  assert.equal(location.href, address)
})

test('parameter `state` of the app keeps no page from resuming', async () => {
  location.href = 'https://app.example/map?state=ca.90210'
  assert.equal(await attempts(7), true)
})

test('logout of an app does not keep another from resuming', async () => {
  await signOut('one')
  assert.equal(await attempts('one'), false)
  assert.equal(await attempts('two'), true)
})

test('login in an app does not undo the logout of another', async () => {
  await signOut('one')
  const other = await open('two')
  mock.timers.tick(1000)
  other.worker.announce({ t: 'session', session: { claims: {}, startedAt: Date.now() }, reason: null })
  await settled()
  assert.ok(other.auth.session)
  other.auth.close()
  assert.equal(await attempts('one'), false)
})

test('attempt that cannot succeed is reported on the console', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {})
  for (const code of ['provider_unavailable', 'unsupported']) {
    const { auth } = await open(code, undefined, code)
    auth.close()
  }
  assert.equal(warn.mock.callCount(), 1)
  assert.match(warn.mock.calls[0].arguments[0], /leave out the option resume/)
})
