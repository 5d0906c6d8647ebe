// Node refuses requests with more than 16 KB of headers, a logout too. The handler's cookies never cause this.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'

const time = { timeout: 60_000 }
const [account] = ACCOUNTS
const { name } = account
let app

before(async () => {
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: {
      scope: 'openid profile offline_access',
      coordinator: inIsolate(),
      log() {},
    },
  })
})
after(async () => {
  account.name = name
  await app?.close()
})

/** Signs in a user whose name has this many characters, which are in the ID token and in the session's claims. */
async function signIn(length) {
  account.name = 'n'.repeat(length)
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  return visitor
}

const sizeOf = ({ cookies }) => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ').length
const isSignedIn = async (visitor) => !!(await visitor.session()).session

// claim: handler-28
test('user with the longest session can begin logins and sign out', time, async () => {
  let visitor
  for (let length = 3000; length > 1000 && !visitor; length -= 100) {
    const candidate = await signIn(length)
    if (await isSignedIn(candidate)) visitor = candidate
  }
  assert.ok(sizeOf(visitor) > 6000, `${sizeOf(visitor)}`)
  const returnTo = `/${'a'.repeat(2500)}`
  for (let i = 0; i < 7; i++) {
    const { response } = await visitor.go(`/auth/login?returnTo=${returnTo}`, { until: () => true })
    assert.equal(response.status, 303)
    assert.ok(sizeOf(visitor) <= 8192, `${sizeOf(visitor)}`)
    assert.ok(await isSignedIn(visitor))
  }
  const { status } = await visitor.call('/auth/logout', { method: 'POST' })
  assert.equal(status, 200)
  assert.ok(!(await isSignedIn(visitor)))
})

test('control: Node refuses longer cookies', time, async () => {
  const visitor = new Visitor(app.place)
  visitor.cookies.set('other', 'x'.repeat(17_000))
  assert.equal((await visitor.call('/auth/logout', { method: 'POST' })).status, 431)
})
