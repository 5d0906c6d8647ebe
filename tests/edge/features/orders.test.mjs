// The app's server ends sessions with handler.end(), over HTTP in two handlers that share a coordinator.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }
const [ends, lines] = [[], []]
let app, other, config

before(async () => {
  const store = inIsolate()()
  const create = (given) => {
    config = given
    other = createTokenHandler({ ...config })
    return createTokenHandler(config)
  }
  app = await startInProcess(create, {
    accessTokenSeconds: 60,
    handler: {
      session: {
        recheck: 0,
        admin: true,
        describe: ({ url }) => `a visitor at ${new URL(url).pathname}${new URL(url).search}`,
      },
      coordinator: () => store,
      onSessionEnd: (end) => ends.push(end),
      log: (line) => lines.push(line),
    },
  })
}, time)
after(() => app?.close())
beforeEach(() => {
  ends.length = lines.length = 0
})

/** Signs a user in. Resolves with the visitor, and with the user's `sub`. */
const signedIn = async (account) => {
  const visitor = new Visitor(app.place)
  await visitor.signIn({ account })
  return [visitor, (await visitor.session()).session.claims.sub]
}

const reasonOf = async (visitor) => {
  const response = await visitor.call('/auth/session')
  return (await response.json()).reason
}

// claim: handler-68
test('end() at one handler ends the sessions of a user at another one', time, async () => {
  const [[first, user], [second], [bob]] = [
    await signedIn('alice'),
    await signedIn('alice'),
    await signedIn('bob'),
  ]
  const waited = []
  const context = { waitUntil: (promise) => waited.push(promise) }
  const options = { by: 'support', why: 'lost phone' }
  assert.equal(await other.end({ user }, options, undefined, context), true)
  assert.equal(waited.length, 1)
  await waited[0]
  for (const visitor of [first, second]) assert.equal(await reasonOf(visitor), 'logged_out')
  assert.equal(await reasonOf(bob), undefined)
  await until(() => ends.length === 2)
  const told = ends.map(({ session, ...end }) => end)
  assert.deepEqual(told, Array(2).fill({ reason: 'logged_out', sub: user, by: 'support', why: 'lost phone' }))
  assert.notEqual(ends[0].session, ends[1].session)
  const orders = lines.filter(({ level }) => level === 'info')
  assert.deepEqual(
    orders.map(({ code }) => code),
    ['session_ended'],
  )
  const [again] = await signedIn('alice')
  assert.equal(await reasonOf(again), undefined)
})

test('sessions() lists the sessions of a user with descriptions', time, async () => {
  const [first, user] = await signedIn('alice')
  const [second] = await signedIn('alice')
  await other.end({ user })
  const before = (await other.sessions({ user })).sessions.length
  assert.equal(before, 0)
  await first.signIn()
  await second.signIn()
  const { sessions, mayBeIncomplete } = await until(async () => {
    const listed = await other.sessions({ user })
    return listed.sessions.length === 2 && listed
  })
  assert.equal(mayBeIncomplete, true)
  for (const one of sessions) {
    assert.deepEqual(Object.keys(one).sort(), ['description', 'isBound', 'session', 'startedAt'])
    assert.equal(one.description, 'a visitor at /auth/callback')
  }
  const response = await first.call('/auth/sessions')
  const own = (await response.json()).sessions.filter(({ isCurrent }) => isCurrent)
  assert.equal(own.length, 1)
  const ended = await first.call('/auth/sessions', { method: 'DELETE' })
  assert.deepEqual([ended.status, await ended.json()], [200, { ended: true }])
  assert.equal(await reasonOf(first), undefined)
  assert.equal(await reasonOf(second), 'logged_out')
  await until(() => ends.some(({ by }) => by === 'user'))
  await assert.rejects(other.sessions({}), { code: 'message_invalid' })
  await assert.rejects(other.sessions(), { code: 'message_invalid' })
  const withoutAdmin = createTokenHandler({ ...config, session: {} })
  await assert.rejects(withoutAdmin.sessions({ user }), { code: 'config_invalid', message: /session\.admin/ })
})

test('end() rejects what it cannot do', time, async () => {
  for (const sessions of [undefined, {}, { user: '' }, { user: 'a', session: 'b' }, { everybody: true }])
    await assert.rejects(other.end(sessions), { code: 'message_invalid' })
  await assert.rejects(other.end({ user: 'a' }, { by: 'two\nlines' }), { code: 'message_invalid' })
  const withoutAdmin = createTokenHandler({ ...config, session: {}, backChannelLogout: false })
  for (const sessions of [{ user: 'a' }, { providerSession: 'a' }, { session: 'AAAAAAAAAAAAAAAA' }])
    await assert.rejects(withoutAdmin.end(sessions), { code: 'config_invalid', message: /session\.admin/ })
  const broken = createTokenHandler({ ...config, issuer: 'http://elsewhere.test' })
  await assert.rejects(broken.end({ user: 'a' }), { code: 'config_invalid', message: /issuer/ })
})
