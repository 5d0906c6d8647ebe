// Tests of cookies over https, as in production: their names have the prefix `__Host-`, which browsers enforce.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call } from '../../support/app.mjs'
import { startPage } from '../../support/edge/page.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startPage('node', { coordinator: 'in-isolate', secure: true })
}, time)
after(() => app?.close())

const cookies = async (page) => (await page.context().cookies(app.site.origin)).map(shown)
const shown = ({ name, path, secure, httpOnly, sameSite, domain }) => ({
  name,
  path,
  secure,
  httpOnly,
  sameSite,
  domain,
})
const guarded = { path: '/', secure: true, httpOnly: true, sameSite: 'Lax', domain: 'localhost' }

test('session cookie is host-only and HttpOnly', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  const held = await cookies(page)
  assert.deepEqual(held[0], { name: '__Host-strongroom', ...guarded })
  assert.ok(held.every(({ name }) => name.startsWith('__Host-strongroom')))
  assert.equal(await page.evaluate(() => document.cookie), '')
})

test('login cookie is host-only and HttpOnly', time, async () => {
  const page = await app.open()
  await page.evaluate(() => boot.then(() => void auth.login().catch(() => {})))
  await page.waitForSelector('form')
  const [attempt, ...others] = await cookies(page)
  assert.match(attempt.name, /^__Host-strongroom-login-[\w-]+$/)
  assert.deepEqual(attempt, { name: attempt.name, ...guarded })
  assert.deepEqual(others, [])
})

test('page cannot set a cookie of that name', time, async () => {
  const page = await app.open()
  const set = (cookie) => page.evaluate((text) => ((document.cookie = text), document.cookie), cookie)
  assert.equal(await set('__Host-strongroom=planted; Path=/sub; Secure'), '')
  assert.equal(await set('__Host-strongroom=planted; Path=/; Secure; Domain=localhost'), '')
  // Control: the browser accepts a cookie whose name does not have the prefix.
  assert.equal(await set('other=planted; Path=/; Secure'), 'other=planted')
})

test('logout clears the cookie', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  await page.evaluate(() => auth.logout())
  const names = (await cookies(page)).map(({ name }) => name)
  assert.ok(!names.includes('__Host-strongroom'), names.join())
})
