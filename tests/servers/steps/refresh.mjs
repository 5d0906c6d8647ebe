import assert from 'node:assert/strict'
import { call } from '../../support/app.mjs'
import { advance } from '../life.mjs'
import { currentRefreshToken, present, refreshes } from '../wire.mjs'
import { ensureSession } from './sign_in.mjs'

/** A token handler does not renew an access token that is younger than this. */
const MIN_TOKEN_AGE = 30_000

/** Lets the API refuse the access token for so many calls. */
export async function refuseToken(life, times = 1) {
  if (life.kind === 'handler') await advance(life, MIN_TOKEN_AGE)
  const headers = { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  life.proxy.faults.add('api', { times, answer: { status: 401, headers, body: {} } })
}

/** Lets the API refuse the access token once. Resolves with the outcome of the call. */
export async function callRefused(life) {
  await refuseToken(life)
  return call(life.page, life.issuer + life.server.api)
}

/** Refreshes once. */
export async function refresh(life) {
  const before = refreshes(life).length
  const { value, error } = await callRefused(life)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value.status, 200, value.text)
  const sent = refreshes(life).slice(before)
  // With DPoP, a server may refuse the first proof of an endpoint, to give it a nonce.
  const answered = sent.filter(({ body }) => body.error !== 'use_dpop_nonce')
  assert.equal(answered.length, 1, 'refresh requests')
  const [{ form, body }] = answered
  const next = body.refresh_token
  if (next === undefined) return 'token stays, unnamed'
  return next === form.get('refresh_token') ? 'token stays' : 'rotates'
}

/** Refreshes again, with the successor. */
export async function refreshAgain(life) {
  const successor = currentRefreshToken(life)
  const found = await refresh(life)
  assert.ok(refreshes(life).at(-1).form.get('refresh_token') === successor, 'the successor is sent')
  return found
}

/** Presents the refresh token that was replaced two refreshes ago. */
export async function presentOldToken(life) {
  if (life.config.dpop) return 'not tried: bound to a key'
  const [first] = refreshes(life)
  return present(life, first.form.get('refresh_token'))
}

/** Refreshes after a replaced token was presented. If the session ends, signs in again. */
export async function refreshAfterReuse(life) {
  const { value } = await callRefused(life)
  const found = value?.status === 200 ? 'works' : await endReason(life)
  await ensureSession(life)
  return found
}

/** Waits for the end of a session whose refresh was refused. Resolves with the reason. */
export async function endReason({ page, issuer, server }) {
  // A token handler passes the API's own response on, and reports the end to the next call.
  await call(page, issuer + server.api)
  await page.waitForFunction(() => auth.endReason)
  return page.evaluate(() => auth.endReason)
}
