// With `SameSite=Strict`, the browser does not send the session cookie in navigations that another site started.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { giveConsent, signInByPopup } from '../../support/app.mjs'
import { leftOut, rows } from '../../support/combinations.mjs'
import { clickLate, startPage } from '../../support/edge/page.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  const cookie = { keys: [randomBytes(32).toString('base64url')], sameSite: 'strict' }
  app = await startPage('node', { coordinator: 'in-isolate', handler: { cookie } })
}, time)
after(() => app?.close())

const cookieOf = async (page) => {
  const cookies = await page.context().cookies(app.site.origin)
  return cookies.find(({ name }) => name === 'strongroom')
}

/** Resolves with the user of the session to which a cookie belongs. */
const whoHas = async ({ name, value }) => {
  const headers = { 'x-strongroom': 'background', cookie: `${name}=${value}` }
  const { session } = await (await fetch(`${app.site.origin}/auth/session`, { headers })).json()
  return session?.claims.sub
}

test('login works with strict cookies', time, async () => {
  const page = await app.open()
  const seen = []
  page.on('request', (request) => {
    if (request.isNavigationRequest()) seen.push(new URL(request.url()).pathname)
  })
  await app.signIn(page, { returnTo: '/orders' })
  assert.equal(new URL(page.url()).pathname, '/orders')
  assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
  assert.equal((await cookieOf(page)).sameSite, 'Strict')
  // The handler's intermediate page repeats the callback.
  assert.deepEqual(seen.slice(-3), ['/auth/callback', '/auth/callback', '/orders'])
})

leftOut('popup login works with strict cookies', time, async () => {
  const page = await app.open()
  assert.equal((await signInByPopup(page)).value?.claims.sub, 'alice')
  assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
})

// claim: handler-10
test('new login ends the previous session', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  const before = await cookieOf(page)
  assert.equal(await whoHas(before), 'alice')
  await app.signIn(page, { prompt: 'login' })
  assert.equal(await whoHas(before), undefined)
  assert.equal(await whoHas(await cookieOf(page)), 'alice')
})

test('cross-site link opens the app without the session', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  const sent = []
  page.on('request', async (request) => {
    if (request.isNavigationRequest()) sent.push((await request.allHeaders()).cookie ?? '')
  })
  await page.goto(app.provider.origin)
  await page.evaluate((target) => location.assign(target), `${app.site.origin}/orders`)
  await page.waitForURL(`${app.site.origin}/orders`)
  // Navigates as if the user had typed the URL.
  await page.goto(`${app.site.origin}/orders`)
  const [, link, typed] = sent.map((cookies) => cookies.includes('strongroom='))
  assert.deepEqual([link, typed], [false, true])
})

/** Begins a login from a page of another site, as a provider's portal does. */
async function beginElsewhere(page, way, parameters) {
  await page.goto(app.provider.origin)
  const begin = ([way, action, parameters]) => {
    if (way === 'link') return location.assign(`${action}?${new URLSearchParams(parameters)}`)
    const form = document.createElement('form')
    Object.assign(form, { method: 'POST', action })
    for (const [name, value] of Object.entries(parameters)) {
      form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))
    }
    document.body.append(form)
    form.submit()
  }
  await page.evaluate(begin, [way, `${app.site.origin}/auth/login`, parameters])
}

const elsewhere = () => ({ iss: app.provider.origin, target_link_uri: `${app.site.origin}/orders?page=2` })

for (const way of rows(['link', 'form'])) {
  test(`${way} of a portal keeps the session`, time, async () => {
    const page = await app.open()
    await app.signIn(page)
    const before = await cookieOf(page)
    await beginElsewhere(page, way, { ...elsewhere(), login_hint: 'bob' })
    await page.waitForURL(`${app.site.origin}/orders?page=2`)
    assert.equal(await whoHas(before), 'alice')
    assert.equal((await cookieOf(page)).value, before.value)
  })
}

test('link of a portal waits for a click after a logout', time, async () => {
  const page = await app.open()
  await app.signIn(page)
  await page.evaluate(() => auth.logout())
  await beginElsewhere(page, 'link', elsewhere())
  await page.getByRole('link', { name: 'Sign in' }).waitFor()
  assert.equal(await cookieOf(page), undefined)
  await clickLate(page.getByRole('link', { name: 'Sign in' }))
  // The logout revoked the grant, so the provider asks for consent again.
  await giveConsent(page)
  await page.waitForURL(`${app.site.origin}/orders?page=2`)
  assert.equal(await whoHas(await cookieOf(page)), 'alice')
})
