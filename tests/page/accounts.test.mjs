// A page of an account: it uses no worker of another account, and neither does its connection later.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { connectTo, FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_800_000_000_000 })
const { connect } = await load('page/connect.ts')
const { createAuth } = await load('page/auth/create-auth.ts')

let page
beforeEach(() => void (page = fakePage()))

/** A worker whose `ready` tells this account, if any. */
const workerOf = (account, user) => Object.assign(new FakeWorker({ user }), { account })

const codeOf = (promise) =>
  promise.then(
    () => 'none',
    ({ code }) => code,
  )

test('worker of another account is refused', async () => {
  for (const [asked, told, code] of [
    [undefined, undefined, 'none'],
    [undefined, 0, 'none'],
    // A tab with an earlier build may keep a worker without accounts alive, which has the first account's session.
    [0, undefined, 'none'],
    [0, 0, 'none'],
    [2, 2, 'none'],
    [undefined, 1, 'config_invalid'],
    [0, 1, 'config_invalid'],
    [1, 0, 'config_invalid'],
    [1, undefined, 'config_invalid'],
  ]) {
    const connected = connect(() => workerOf(told, 'alice'), { account: asked })
    assert.equal(await codeOf(connected), code, `${asked} ${told}`)
    if (code === 'none') (await connected).close()
  }
})

test('account never gets the session of a worker that takes the place of its own', async () => {
  for (const other of [undefined, 0, 2]) {
    const workers = [workerOf(1, 'bob'), workerOf(other, 'alice')]
    const { client, made, events } = await connectTo(connect, ...workers, { account: 1 })
    made[0].fail('vault_crashed')
    await settled()
    assert.equal(await codeOf(client.reconnect()), 'config_invalid')
    await settled()
    assert.equal(client.session, null)
    assert.ok(!events.includes('alice'), `${events}`)
    assert.equal(await codeOf(client.fetch('https://api.example/orders')), 'vault_crashed')
    assert.ok(!made[1].received.some(({ t }) => t === 'fetch'))
    client.close()
  }
})

test('account stays with its outdated vault if the newer worker has another account', async () => {
  const { client, made, events } = await connectTo(
    connect,
    workerOf(1, 'bob'),
    workerOf(undefined, 'alice'),
    {
      account: 1,
    },
  )
  made[0].announce({ t: 'outdated' })
  await settled()
  assert.equal(made.length, 2)
  assert.equal(client.session.claims.sub, 'bob')
  assert.deepEqual(events, [])
  client.close()
})

test('token handler has no accounts', async () => {
  assert.equal(await codeOf(connect('/auth', { account: 1 })), 'message_invalid')
})

// TypeScript refuses it, but JavaScript does not.
test('account among the options does not get the session of the first one', async () => {
  const auth = createAuth({ shared: () => workerOf(0, 'alice') }, { account: 1 })
  await auth.connect().catch(() => {})
  await settled()
  assert.equal(auth.state.error?.code, 'config_invalid')
  assert.equal(auth.state.session, null)
  auth.close()
})
