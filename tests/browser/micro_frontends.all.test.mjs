// Micro-frontends (docs/session-storage.md): bundles of one page, each with its own copy of the library, share a worker.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { giveConsent, htmlWith, startApp, waitUntil } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app

/** The script of a bundle. The query makes the browser load another copy of the library. */
const bundle = (name, worker) => `
import { createAuth } from '/strongroom/index.js?${name}'
const auth = createAuth({ shared: () => new SharedWorker('${worker}', { type: 'module' }) })
auth.subscribe(() => {})
globalThis.${name} = auth
`

before(async () => {
  app = await startApp()
  Object.assign(app.site.files, {
    '/shell.html': htmlWith('/cart.js').replace(
      '</head>',
      '<script type="module" src="/search.js"></script></head>',
    ),
    '/cart.js': bundle('cart', '/auth.worker.js'),
    '/search.js': bundle('search', '/auth.worker.js'),
    '/apart.js': bundle('search', '/auth.worker.js?apart'),
  })
  for (const path of ['/shell', '/callback']) app.site.routes[path] = '/shell.html'
})
after(() => app?.close())

/** Opens the page with both bundles, and signs in by the first. */
async function signedIn() {
  const page = await app.open('/shell')
  // A vault that has not started yet would not hear that a user has signed in in another one.
  await waitUntil(page, () =>
    [globalThis.cart, globalThis.search].every((auth) => auth?.state.status === 'connected'),
  )
  await page.evaluate(() => void cart.login({ returnTo: '/shell' }))
  await giveConsent(page)
  await page.waitForURL('**/shell')
  await waitUntil(page, () => globalThis.cart?.state.session || globalThis.search?.state.session)
  return page
}

const names = (page) =>
  page.evaluate(() => [cart, search].map(({ state }) => state.session?.claims.sub ?? null))

test('two bundles share a worker, its session and its calls', time, async () => {
  const page = await signedIn()
  await waitUntil(page, () => globalThis.cart?.state.session && globalThis.search?.state.session)
  const [first, second] = await names(page)
  assert.ok(first)
  assert.equal(second, first)
  const statuses = await page.evaluate(
    async (url) => [(await cart.fetch(url)).status, (await search.fetch(url)).status],
    `${app.api.url}orders`,
  )
  assert.deepEqual(statuses, [200, 200])
  await page.evaluate(() => search.logout())
  await waitUntil(page, () => !cart.state.session)
  assert.deepEqual(await names(page), [null, null])
  await page.context().close()
})

test('a control: with workers of two addresses, only one bundle has the session', time, async () => {
  const { files } = app.site
  files['/shell.html'] = files['/shell.html'].replace('/search.js', '/apart.js')
  const page = await signedIn()
  // Either vault may finish the login, because its record is in the store of the origin.
  await waitUntil(page, () => globalThis.cart?.state.elsewhere || globalThis.search?.state.elsewhere)
  assert.equal((await names(page)).filter(Boolean).length, 1)
  await page.context().close()
})
