// The callback page: how it creates the app's worker.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { fakePage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
document.baseURI = location.href
globalThis.Worker = class {}
const { finishLogin } = await load('callback/finish-login.ts')

/** Resolves with the second argument that the callback page passes on to `new SharedWorker()`. */
async function passedOn(...options) {
  location.href = 'https://app.example/callback?code=c&state=s'
  location.replace = () => {}
  mock.method(console, 'error', () => {})
  let passed
  // The constructor reads its options, and no worker follows.
  globalThis.SharedWorker = class {
    constructor(_, { name, type, extendedLifetime }) {
      passed = { name, type, extendedLifetime }
      throw new Error('no worker')
    }
  }
  await finishLogin({ shared: () => new SharedWorker('auth.worker.js', ...options) })
  return passed
}

test('worker keeps its name, which may stand in place of the options', async () => {
  const rest = { type: undefined, extendedLifetime: false }
  assert.deepEqual(await passedOn('auth'), { ...rest, name: 'auth' })
  assert.deepEqual(await passedOn({ name: 'auth' }), { ...rest, name: 'auth' })
  assert.deepEqual(await passedOn(), { ...rest, name: undefined })
  const options = { name: 'auth', type: 'module', extendedLifetime: true }
  assert.deepEqual(await passedOn(options), options)
})
