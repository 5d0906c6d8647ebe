import assert from 'node:assert/strict'
import { once } from 'node:events'
import { call, clickLogin } from '../../support/app.mjs'
import { resetClocks, started, withApp } from '../life.mjs'
import { tokenRequests } from '../wire.mjs'

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

/** Signs in by redirect, as a user whom the server does not know yet. */
export async function signIn(life, options = {}) {
  const { server, page, app, faults } = life
  await begin(life)
  await page.evaluate((given) => {
    auth.login(given).catch((error) => (globalThis.refusal = describe(error)))
  }, options)
  const left = page.waitForURL((url) => url.origin !== app)
  const refused = page.waitForFunction(() => globalThis.refusal).then((found) => found.jsonValue())
  const refusal = await Promise.race([left, refused.catch(() => undefined)])
  assert.equal(refusal?.message, undefined)
  await server.signIn(page)
  await page.waitForURL((url) => url.origin === app)
  await started(page, faults)
  assert.deepEqual(faults, [])
  assert.ok(await hasSession(life))
}

/** Prepares a sign-in: the server forgets the user, and the clocks show the real time. */
async function begin(life) {
  const { page, issuer, proxy, faults } = life
  await started(page, faults)
  await page.context().clearCookies({ domain: new URL(issuer).hostname })
  await resetClocks(life)
  faults.length = 0
  life.since = proxy.requests.length
}

const hasSession = ({ page }) => page.evaluate(() => auth.session?.state === 'active')

/** Signs in, unless the user is signed in. */
export async function ensureSession(life) {
  await started(life.page, life.faults)
  if (!(await hasSession(life))) await signIn(life)
}

/** Signs in for the first time, without a pushed request unless the server requires it. */
export async function firstSignIn(life) {
  await signIn(life)
  return pushedRequests(life).length ? 'pushed' : ''
}

/** Returns the requests of the browser to the authorization endpoint that have only a reference to a pushed request. */
const pushedRequests = ({ proxy, since }) =>
  proxy.requests
    .slice(since)
    .filter(({ method, path }) => method === 'GET' && /[?&]request_uri=urn/.test(path))
    .map(({ path }) => new URLSearchParams(path.split('?')[1]))

/** Signs in with a pushed authorization request (RFC 9126). */
export const signInPushed = (life) =>
  withApp(life, { config: { par: true } }, async (other) => {
    await signIn(other)
    const pushed = pushedRequests(other)
    assert.ok(pushed.length, 'the request is pushed')
    for (const query of pushed) assert.equal(query.get('scope'), null)
    await callApi(other)
  })

/** Signs in by popup. */
export async function signInByPopup(life) {
  const { server, page, faults } = life
  await started(page, faults)
  await page.evaluate(() => auth.session && auth.logout())
  await begin(life)
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
  const closed = once(popup, 'close')
  await server.signIn(popup)
  const { error } = await page.evaluate(() => login)
  assert.deepEqual(error ?? {}, {})
  await closed
  await callApi(life)
}

/** Signs in on another device (RFC 8628). */
export const signInOnDevice = (life) =>
  withApp(life, { config: { deviceFlow: true, ...life.features.deviceConfig } }, async (other) => {
    const { page, features, browser } = other
    await begin(other)
    const code = await page.evaluate(
      () =>
        new Promise((resolve) => {
          globalThis.login = settle(auth.login({ mode: 'device', onCode: resolve }))
          login.then(resolve)
        }),
    )
    assert.ok(code.userCode, code.error?.message)
    const context = await browser.newContext()
    try {
      const phone = await context.newPage()
      await phone.goto(code.verificationUri)
      await features.device(phone, code)
      const { error } = await page.evaluate(() => login)
      assert.deepEqual(error ?? {}, {})
    } finally {
      await context.close()
    }
    assert.ok(tokenRequests(other, DEVICE_CODE).at(-1).body.access_token, 'the token of the device code')
    await callApi(other)
  })

/** Signs in with a profile address, which says who the user is. */
export const profile = (life) => {
  const { url, ...members } = life.features.profile
  const identity = { url: life.issuer + url, ...members }
  return withApp(life, { config: { identity } }, async (other) => {
    await signIn(other)
    const asked = other.proxy.requests.slice(other.since).filter(({ path }) => path === url)
    assert.equal(asked.length, 1, 'requests for the profile')
    return claims(other)
  })
}

/** Returns the session's claims. */
export async function claims({ page }) {
  const found = await page.evaluate(() => auth.session.claims)
  return Object.entries(found)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')
}

/** Calls the API with the access token. */
export async function callApi({ server, page, issuer }) {
  const { value, error } = await call(page, issuer + server.api)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value.status, 200, value.text)
}
