import assert from 'node:assert/strict'
import { call } from '../../support/app.mjs'
import { started } from '../life.mjs'
import { present } from '../wire.mjs'
import { realSeconds, until } from './refresh.mjs'
import { ensureSession } from './sign_in.mjs'

/** Signs out. A revoked refresh token must be refused. */
export async function logout(life) {
  await ensureSession(life)
  const { page, proxy, since } = life
  const { revoked } = await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.session), null)
  if (!revoked) return 'revokes nothing'
  const sent = proxy.requests.slice(since).map(({ sent }) => new URLSearchParams(sent))
  const token = sent.findLast((form) => form.has('token')).get('token')
  if (life.config.dpop) return 'revokes'
  const found = await present(life, token)
  assert.notEqual(found, 'accepted')
  return `revokes: ${found}`
}

/** Signs out at the provider, too. The provider must then ask for a password again. */
export async function providerLogout(life) {
  await ensureSession(life)
  const { page, app, kind, faults, features } = life
  assert.equal(await silentLogin(life), undefined, 'the server knows the user')
  await ensureSession(life)
  await page.evaluate(
    (returnTo) => {
      globalThis.isLeaving = true
      void auth.logout({ provider: true, ...(returnTo && { returnTo }) }).catch(() => {})
    },
    kind === 'vault' ? '/' : undefined,
  )
  await features.providerLogout(page)
  await backInApp(page, app)
  await started(page, faults)
  assert.equal(await page.evaluate(() => auth.session), null)
  await secondAfterLogout()
  const found = await silentLogin(life)
  assert.ok(found, 'the server has forgotten the user')
  if (found !== 'login_required') return `prompt=none ${found}`
}

const SHOWS_PAGE = 'shows a page'

/** Tries to sign in without the user. If this fails, resolves with the provider's code, or else with strongroom's. */
async function silentLogin({ page, app, issuer, faults }) {
  faults.length = 0
  await page.evaluate(() => {
    globalThis.isLeaving = true
    void auth.login({ prompt: 'none' }).catch(() => {})
  })
  const stays = page.waitForURL((url) => url.origin === issuer).then(() => true)
  const isBack = backInApp(page, app).then(() => false)
  if (await Promise.any([stays, isBack])) {
    await page.goto(app)
    return SHOWS_PAGE
  }
  const outcome = await page.evaluate(() => globalThis.boot)
  // If a login fails, a token handler shows a page of its own.
  const failure = outcome ? outcome.error : faults.at(-1)
  await page.goto(app)
  return /responded with (\w+)/.exec(failure?.message)?.[1] ?? failure?.code
}

/** Waits until a page that is leaving has come back to the app. */
const backInApp = (page, app) =>
  page.waitForFunction(
    (origin) => !globalThis.isLeaving && location.origin === origin && document.readyState === 'complete',
    app,
  )

/** Ends the user's session at the server, which sends a logout token to the handler. */
export async function backChannelLogout(life) {
  await ensureSession(life)
  const { page, features, issuer, arrived } = life
  const before = arrived.length
  const other = await page.context().newPage()
  await features.backChannelLogout(other, { issuer })
  const received = () => arrived.slice(before).find(({ path }) => path === '/auth/backchannel-logout')
  await until(received)
  assert.equal(received().status, 200)
  await secondAfterLogout()
  const { error } = await call(page, issuer + life.server.api)
  assert.equal(error?.code, 'session_ended')
  assert.equal(await page.evaluate(() => auth.endReason), 'provider_ended')
  await other.close()
}

/**
 * Waits for the next second. A logout token has whole seconds: without `sid`, it also ends the sessions that begin later
 * in its second.
 */
async function secondAfterLogout() {
  const time = realSeconds()
  await until(() => realSeconds() > time)
}
