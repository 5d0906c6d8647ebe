import assert from 'node:assert/strict'
import { call } from '../../support/app.mjs'
import { advance } from '../life.mjs'
import { currentRefreshToken, present, refreshes, revoke, tokenPath } from '../wire.mjs'
import { callRefused, refuseToken, until } from './refresh.mjs'
import { ensureSession } from './sign_in.mjs'

/**
 * A time after which vault or handler tries to refresh again. A token handler asks for the user only when the access
 * token has expired.
 */
const LONG_WAIT = { vault: 80_000, handler: 3_700_000 }

/** Presents the refresh token that was replaced first. */
export async function presentOldToken(life) {
  const [first] = refreshes(life)
  const old = first.form.get('refresh_token')
  return old === currentRefreshToken(life) ? 'not replaced' : present(life, old)
}

/** Refreshes after a replaced token was presented. */
export async function refreshAfterReuse(life) {
  const { value } = await callRefused(life)
  return value?.status === 200 ? 'works' : learned(life)
}

/** Refreshes until the page learns something from the refusals: the reason of the end, or the state of the session. */
async function learned(life) {
  const { page, server, issuer } = life
  for (let attempt = 0; attempt < 10; attempt++) {
    if (attempt) await advance(life, LONG_WAIT[life.kind])
    await callRefused(life)
    life.proxy.faults.clear()
    // A token handler passes the API's own response on, and reports the end to the next call.
    if (life.kind === 'handler') await call(page, issuer + server.api)
    const found = await page.evaluate(() => auth.endReason ?? auth.session.state)
    if (found !== 'active') return found
  }
  return 'nothing'
}

/**
 * Lets the server replace the refresh token, and cuts the connection before its response. The client sends the same
 * token again.
 */
export async function loseResponse(life) {
  await ensureSession(life)
  const lost = currentRefreshToken(life)
  const before = refreshes(life).length
  life.proxy.faults.add(tokenPath(life), { when: 'after', drop: true })
  await callRefused(life)
  const sent = () => refreshes(life).slice(before)
  await until(() => sent().length > 1 && sent().at(-1).status)
  const [first, ...again] = sent()
  assert.equal(first.status, 0, 'the status of the lost response')
  for (const { form } of again) assert.ok(form.get('refresh_token') === lost, 'the lost token is sent again')
  if (!again.at(-1).body.access_token) return learned(life)
  const { value } = await call(life.page, life.issuer + life.server.api)
  assert.equal(value?.status, 200)
  return 'continues'
}

/** Lets the token endpoint refuse connections for 30 seconds. The session must continue with the same refresh token. */
export async function outage(life) {
  await ensureSession(life)
  const { page, proxy } = life
  const token = currentRefreshToken(life)
  const before = proxy.requests.length
  proxy.faults.add(tokenPath(life), { times: Infinity, drop: true })
  for (let passed = 0; passed < 30_000; passed += 10_000) {
    const { value, error } = await callRefused(life)
    assert.notEqual(value?.status, 200, 'the call fails during the outage')
    if (error) assert.equal(error.code, 'provider_unavailable')
    assert.equal(await page.evaluate(() => auth.session?.state), 'active')
    await advance(life, 10_000)
  }
  proxy.faults.clear()
  const { value, error } = await callRefused(life)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value.status, 200)
  const requests = proxy.requests.slice(before).filter(({ path }) => path === tokenPath(life))
  assert.ok(
    requests.length > 1 && requests.slice(0, -1).every(({ status }) => !status),
    'refused connections',
  )
  const [latest] = refreshes(life).slice(-1)
  assert.ok(latest.body.access_token && latest.form.get('refresh_token') === token, 'the same token is sent')
}

/** Revokes the session's refresh token at the server. Resolves with the server's refusal and with what a page learns. */
export async function refusedRefresh(life) {
  await ensureSession(life)
  const answer = await revoke(life, currentRefreshToken(life))
  if (answer !== 'accepted') return `not revoked: ${answer}`
  const found = await learned(life)
  const { status, body } = refreshes(life).at(-1)
  return `${status} ${body.error ?? 'without a code'}: ${found}`
}
