// Retries of ky and ofetch, which the repository's root installs. `retries.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import ky from 'ky'
import { createFetch } from 'ofetch'
import { StrongroomError } from 'strongroom'
import { createKy } from './retries.mjs'
import { errorOf, open, ORIGIN } from './world.mjs'

const time = { timeout: 20_000 }
const url = `${ORIGIN}/orders`
const busy = () => Response.json({ error: 'busy' }, { status: 503 })
const broken = () => {
  throw new TypeError('the connection was cut')
}

/** Resolves with the error, the number of calls and the seconds until the error. */
async function fail(create, api, isSignedIn = true) {
  const { world, auth } = await open(api, { isSignedIn })
  const start = performance.now()
  const error = await errorOf(create(auth))
  world.close()
  return { error, calls: auth.calls, seconds: (performance.now() - start) / 1000 }
}

test('ky with the option: login_required at once', time, async () => {
  const { error, calls } = await fail((auth) => createKy(auth).get(url), busy, false)
  assert.ok(error instanceof StrongroomError)
  assert.equal(calls, 1)
})

test('control: ky without the option takes a second', time, async () => {
  const { calls, seconds } = await fail((auth) => ky.create({ fetch: auth.fetch }).get(url), busy, false)
  assert.ok(calls > 1, `${calls} calls`)
  assert.ok(seconds > 0.7 && seconds < 2.5, `${seconds} s`)
})

for (const [name, api] of Object.entries({ 'a 503 of the API': busy, 'a failure of the network': broken })) {
  test(`ky with the option: repeats a call after ${name}`, time, async () => {
    const { calls } = await fail((auth) => createKy(auth).get(url), api)
    assert.ok(calls > 1, `${calls} calls`)
  })
}

test('ofetch repeats a GET once, without a delay', time, async () => {
  const repeated = await fail((auth) => createFetch({ fetch: auth.fetch })(url), busy, false)
  assert.equal(repeated.error.cause.code, 'login_required')
  assert.equal(repeated.calls, 2)
  assert.ok(repeated.seconds < 0.5, `${repeated.seconds} s`)
  const create = (auth) => createFetch({ fetch: auth.fetch })(url, { retry: false })
  assert.equal((await fail(create, busy, false)).calls, 1)
})
