import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { call } from '../../support/app.mjs'
import { advance, MIN_TOKEN_AGE, openTab, started } from '../life.mjs'
import { currentRefreshToken, refreshes, signInResponse } from '../wire.mjs'
import { ensureSession } from './sign_in.mjs'

/** Lets a token handler's access token become old enough for a refresh. */
function letTokenAge(life) {
  const { config, client, features } = life
  const hasProof = config.dpop || client.auth === 'private_key_jwt'
  return hasProof && features.exactTime ? pause(MIN_TOKEN_AGE) : advance(life, MIN_TOKEN_AGE)
}

/** Lets the API refuse the access token for so many calls. */
export async function refuseToken(life, { times = 1, hold } = {}) {
  if (life.kind === 'handler') await letTokenAge(life)
  const headers = { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  life.proxy.faults.add('api', { times, hold, answer: { status: 401, headers, body: {} } })
}

/** Lets the API refuse the access token once. Resolves with the outcome of the call. */
export async function callRefused(life) {
  await refuseToken(life)
  return call(life.page, life.issuer + life.server.api)
}

/** Returns the refreshes since an earlier one, as a client counts them: with DPoP, a server may first give a nonce. */
const refreshesSince = (life, before) =>
  refreshes(life)
    .slice(before)
    .filter(({ body }) => body.error !== 'use_dpop_nonce')

/** Refreshes once. Without a refresh token, the page gets the API's own response. */
export async function refresh(life) {
  const before = refreshes(life).length
  const { value, error } = await callRefused(life)
  assert.deepEqual(error ?? {}, {})
  if (!signInResponse(life).refresh_token) {
    assert.equal(value.status, 401)
    return 'no refresh token'
  }
  assert.equal(value.status, 200, value.text)
  const sent = refreshesSince(life, before)
  assert.equal(sent.length, 1, 'refresh requests')
  const [{ form, body }] = sent
  const next = body.refresh_token
  if (next === undefined) return 'token stays, unnamed'
  return next === form.get('refresh_token') ? 'token stays' : 'rotates'
}

/** Refreshes again, with the successor. */
export async function refreshAgain(life) {
  // Keycloak compares times of issue in whole seconds: it accepts an old token that is as old as the current one.
  await pause(1000)
  const successor = currentRefreshToken(life)
  const found = await refresh(life)
  assert.ok(refreshes(life).at(-1).form.get('refresh_token') === successor, 'the successor is sent')
  return found
}

/** Calls the API from two tabs, and refuses both calls at the same time. There must be one refresh. */
export async function refreshInTwoTabs(life) {
  await ensureSession(life)
  const second = await openTab(life)
  await started(second, life.faults)
  const before = refreshes(life).length
  const calls = () => life.proxy.requests.filter(({ endpoint }) => endpoint === 'api').length
  const earlier = calls()
  const hold = until(() => calls() === earlier + 2)
  await refuseToken(life, { times: 2, hold })
  // A browser sends the same address only once at a time, in case it may keep the response.
  const address = (i) => `${life.issuer}${life.server.api}?tab=${i}`
  const outcomes = await Promise.all([life.page, second].map((tab, i) => call(tab, address(i))))
  for (const { value, error } of outcomes) {
    assert.deepEqual(error ?? {}, {})
    assert.equal(value.status, 200, value.text)
  }
  assert.equal(refreshesSince(life, before).length, 1, 'refresh requests')
  assert.equal(calls(), earlier + 4, 'calls of two tabs, each sent twice')
  await second.close()
}

/** Waits until a function of this process returns true. */
export async function until(isSo, { timeout = 15_000 } = {}) {
  const start = process.hrtime.bigint()
  while (!isSo()) {
    // The driver moves the other clocks.
    if (process.hrtime.bigint() - start > BigInt(timeout) * 1_000_000n) {
      throw new Error(`not so within ${timeout} ms: ${isSo}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Returns the real time in seconds. `Date.now()` has the time that the driver has set. */
export const realSeconds = () => Math.floor(new Date().getTime() / 1000)
