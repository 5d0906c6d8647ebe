// createAuth() with fake ports: which session and which error it shows, and when.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
mock.timers.enable({ apis: ['setTimeout'] })
const { createAuth } = await load('page/create-auth.ts')

/** Creates an `Auth` whose connections take these workers. `states` lists its states. */
function start(...workers) {
  const all = [...workers]
  const auth = createAuth({ dedicated: () => workers.shift() })
  const states = []
  auth.subscribe((state) => states.push(state))
  return { auth, states, workers: all }
}

test('requireSession() waits while the vault is replaced', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { auth, workers } = start(new FakeWorker({ user: 'alice' }), next)
  assert.equal((await auth.requireSession()).claims.sub, 'alice')
  workers[0].fail('vault_outdated')
  await settled()
  // The page still shows the session, although its vault has stopped.
  assert.equal(auth.state.session.claims.sub, 'alice')
  const session = auth.requireSession()
  await settled()
  next.ready()
  assert.equal((await session).claims.sub, 'bob')
  auth.close()
})

test('state does not change after close()', async () => {
  const next = new FakeWorker({ user: 'bob', responds: false })
  const { auth, states, workers } = start(new FakeWorker({ user: 'alice' }), next)
  await auth.connect()
  workers[0].fail('vault_crashed')
  await settled()
  assert.equal(auth.state.status, 'connecting')
  auth.close()
  await settled()
  const { length } = states
  next.ready()
  await settled()
  assert.deepEqual(states.slice(length), [])
})

test('state does not change if close() precedes the connection', async () => {
  const worker = new FakeWorker({ user: 'alice', responds: false })
  const { auth, states } = start(worker)
  await settled()
  auth.close()
  worker.ready()
  await settled()
  assert.deepEqual(
    states.map(({ session }) => session),
    [null],
  )
})
