// Tests of `persist: 'escrow'` with a vault on its own origin. The service worker, if there is one, belongs to the
// vault's origin.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { serveEscrow } from '../support/escrow.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startApp({
    vaultOrigin: true,
    kind: 'dedicated',
    config: { session: { persist: 'escrow' } },
    extendedLifetime: false,
  })
  serveEscrow({ site: app.vault })
  app.vault.files['/register.html'] = '<!doctype html><title>registers the service worker</title>'
  app.vault.headers['/register.html'] = { 'Content-Security-Policy': null }
})
after(() => app?.close())

const session = (page) => page.evaluate(() => auth.session)

async function signedIn(context) {
  const page = await app.open('/', context)
  assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  return page
}

async function afterReload(page) {
  await page.goto(`${app.site.origin}/?again`)
  assert.deepEqual(await booted(page), { value: null })
  return session(page)
}

test('without a service worker of the vault’s origin, kept is false', time, async () => {
  const page = await signedIn()
  await page.waitForFunction(() => auth.session.kept === false)
  assert.equal(await afterReload(page), null)
})

test('with a service worker of the vault’s origin the session survives a reload', time, async () => {
  const context = await app.browser.newContext()
  const home = await context.newPage()
  await home.goto(`${app.vault.origin}/register.html`)
  await home.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    await navigator.serviceWorker.ready
  })
  const page = await signedIn(context)
  assert.equal((await session(page)).kept, true)
  const { claims } = await afterReload(page)
  assert.equal(claims.sub, 'alice')
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
})
