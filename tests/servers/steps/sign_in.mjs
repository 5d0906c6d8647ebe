import assert from 'node:assert/strict'
import { call } from '../../support/app.mjs'
import { resetClocks, started } from '../life.mjs'

/** Signs in by redirect. */
export async function signIn(life) {
  const { server, page, proxy, app, faults } = life
  await started(page, faults)
  await resetClocks(life)
  life.since = proxy.requests.length
  await page.evaluate(() => {
    auth.login().catch((error) => (globalThis.refusal = describe(error)))
  })
  const left = page.waitForURL((url) => url.origin !== app)
  const refused = page.waitForFunction(() => globalThis.refusal).then((found) => found.jsonValue())
  const refusal = await Promise.race([left, refused.catch(() => undefined)])
  assert.equal(refusal?.message, undefined)
  await server.signIn(page)
  await page.waitForURL((url) => url.origin === app)
  await started(page, faults)
  assert.deepEqual(faults.splice(0), [])
  assert.ok(await hasSession(life))
}

const hasSession = ({ page }) => page.evaluate(() => auth.session !== null)

/** Signs in, unless the user is signed in. */
export async function ensureSession(life) {
  await started(life.page, life.faults)
  if (!(await hasSession(life))) await signIn(life)
}

/** Checks the session's claims. */
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
