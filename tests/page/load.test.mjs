// Files that a page loads later fail, as after a deployment that has deleted them.
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { fakePage, settled } from '../support/fake_page.mjs'
import { loadAgain } from '../support/page_module.mjs'

fakePage()
mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
mock.method(performance, 'now', () => Date.now())

let load, loadExplanation, rejectTyped
let requests
/** True if the server has the file. */
let isThere

beforeEach(async () => {
  ;({ load, loadExplanation, rejectTyped } = await loadAgain('page/load.ts', 'page/errors/error-text.ts'))
  requests = 0
  isThere = false
  navigator.onLine = true
})

const get = async () => {
  requests++
  if (!isThere) throw new TypeError('Failed to fetch dynamically imported module')
  return { login: 1 }
}

/** Lets this many seconds pass. */
async function pass(seconds) {
  for (let n = 0; n < seconds * 4; n++) {
    mock.timers.tick(250)
    await settled()
  }
}

/** Resolves with the number of requests of a call that fails, and with its milliseconds. */
async function costOf(call) {
  const [before, began] = [requests, Date.now()]
  let took
  call(get, 'login').catch(() => (took = Date.now() - began))
  await settled()
  for (let n = 0; took === undefined && n < 100; n++) await pass(0.25)
  return { requests: requests - before, took }
}

const AT_ONCE = { requests: 1, took: 0 }
const WITHOUT_REQUEST = { requests: 0, took: 0 }

test('calls share the attempts in flight', async () => {
  const calls = [load(get, 'login'), load(get, 'login'), loadExplanation(get, 'login')]
  isThere = true
  await pass(1)
  assert.deepEqual(await Promise.all(calls), Array(3).fill({ login: 1 }))
  assert.equal(requests, 2)
})

test('advice about files is for the error of a file only', async () => {
  const typed = (error) => rejectTyped(error).catch((typed) => typed)
  const failure = load(get, 'login').catch((error) => error)
  await pass(20)
  const [ofFile, other] = [await typed(await failure), await typed(new TypeError('young is not a function'))]
  assert.equal(ofFile.code, 'worker_failed')
  assert.match(ofFile.message, /^a file of strongroom could not be loaded: Failed to fetch/)
  assert.equal(other.code, 'unsupported')
  assert.doesNotMatch(other.message, /\bfile|worker/)
})

test('file that has failed is requested once by a call within a minute', async () => {
  const first = await costOf(load)
  assert.ok(first.requests > 3 && first.took > 2000)
  assert.deepEqual(await costOf(load), AT_ONCE)
  await pass(50)
  assert.deepEqual(await costOf(load), AT_ONCE)
  isThere = true
  assert.deepEqual(await load(get, 'login'), { login: 1 })
})

test('explanation that has failed is requested again after a minute', async () => {
  const first = await costOf(loadExplanation)
  assert.ok(first.requests > 1 && first.took > 500)
  await pass(55)
  assert.deepEqual(await costOf(loadExplanation), WITHOUT_REQUEST)
  await pass(10)
  isThere = true
  assert.deepEqual(await loadExplanation(get, 'login'), { login: 1 })
})

test('failure of a device that is offline is not remembered', async () => {
  navigator.onLine = false
  const offline = await costOf(loadExplanation)
  assert.equal(offline.requests, 3)
  navigator.onLine = true
  const online = await costOf(load)
  assert.ok(online.requests > 3)
})
