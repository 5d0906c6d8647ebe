/**
 * A token handler adds its token to a navigation only if a page of the app began it. The browser's `Sec-Fetch-Site`
 * tells who began a navigation, also after redirects by other sites. After a login that the app did not begin, only a
 * click of the user counts, which WebKit does not tell (`Sec-Fetch-User`).
 */
import assert from 'node:assert/strict'
import { giveConsent } from '../../support/engines/app.mjs'
import { ignoreNavigation, poll, waitFor } from '../../support/engines/driver.mjs'
import { startEdgeSite } from '../../support/edge/site.mjs'

/** Starts a token handler whose only route allows navigations. Its API also redirects, as any other site could. */
async function serve() {
  const app = await startEdgeSite('node', {
    coordinator: 'in-isolate',
    provider: { accessTokenSeconds: 3600 },
    route: { navigate: true },
  })
  app.site.files['/link.html'] = '<!doctype html><a href="/api/me?from=app">A link of the app</a>'
  app.site.routes['/link'] = '/link.html'
  app.api.on('away', ({ response, url }) => {
    response.writeHead(302, { Location: url.searchParams.get('to') }).end()
  })
  return app
}

/** Returns the queries of the requests that reached the API with a token. */
const served = ({ api }) =>
  api.requests
    .filter(({ authorization }) => authorization)
    .map(({ path }) => new URL(path, api.origin).search)

/**
 * Waits for the handler's page with this title, and until its link works: the link appears late, and the mouse must have
 * been on the page for a second. Resolves with the link's text.
 */
async function linkOn(tab, title) {
  await waitFor(tab, (wanted) => document.querySelector('h1')?.textContent === wanted, title)
  const usable = () => {
    const link = document.querySelector('a')
    const { visibility, pointerEvents } = getComputedStyle(link)
    return visibility === 'visible' && pointerEvents === 'auto' && link.textContent
  }
  // A move of the mouse is lost if the page has not been drawn yet.
  for (let attempts = 5; ; attempts--) {
    await tab.hover('main')
    const look = () => tab.evaluate(usable).catch(ignoreNavigation)
    const text = await poll(look, 'the link', 4000).catch((error) => {
      if (attempts === 0) throw error
    })
    if (text) return text
  }
}

/** Clicks the link of the page, and waits until the API has got `count` requests with a token, and the tab has loaded. */
async function follow(app, tab, count) {
  await tab.click('a')
  await poll(() => served(app).length === count, `request ${count} with a token`)
  // The address is compared, because Firefox has an empty document for a moment before it shows the response.
  await waitFor(
    tab,
    () =>
      location.pathname === '/api/me' &&
      document.readyState === 'complete' &&
      !document.querySelector('main > h1'),
  )
}

/** Signs in by typing the address of a route. Resolves at the page that has a link to this route. */
async function signInByAddress(app, tab, path) {
  await tab.goto(app.site.origin + path)
  await giveConsent(tab)
  assert.equal(await linkOn(tab, 'You are signed in'), path)
}

const capabilities = [
  {
    // claim: handler-11
    name: 'token handler: a typed address, redirected or not, gets a token only after a click',
    async see({ app, visit }) {
      const { tab } = await visit('/link')
      await signInByAddress(app, tab, '/api/me?n=1')
      assert.deepEqual(served(app), [])
      await follow(app, tab, 1)

      const target = `${app.site.origin}/api/me?n=2`
      await tab.goto(target)
      assert.equal(await linkOn(tab, 'Open this page'), '/api/me?n=2')
      assert.equal(served(app).length, 1)
      await follow(app, tab, 2)

      const away = (to) => `${app.api.origin}/open/away?to=${encodeURIComponent(to)}`
      await tab.goto(away(`${app.site.origin}/api/me?n=3`))
      assert.equal(await linkOn(tab, 'Open this page'), '/api/me?n=3')
      const silent = `/auth/login?prompt=none&returnTo=${encodeURIComponent('/api/me?n=4')}`
      await tab.goto(away(app.site.origin + silent))
      assert.equal(await linkOn(tab, 'You are signed in'), '/api/me?n=4')
      assert.deepEqual(served(app), ['?n=1', '?n=2'])
      await follow(app, tab, 3)

      // Control: a link of the app leads to the route at once.
      await tab.goto(`${app.site.origin}/link`)
      await follow(app, tab, 4)
      assert.equal(served(app).at(-1), '?from=app')
    },
  },
  {
    name: 'token handler: a link of the app to a route, after a login that the app did not begin',
    async see({ app, visit }) {
      const { tab } = await visit('/link')
      await tab.goto(`${app.site.origin}/auth/login?returnTo=/link`)
      await giveConsent(tab)
      await waitFor(tab, () => location.pathname === '/link' && !!document.querySelector('a'))
      app.api.clear()
      await tab.click('a')
      const title = () => document.querySelector('h1')?.textContent
      const isAsked = () => tab.evaluate(title).catch(() => undefined)
      const seen = await poll(async () => served(app).length || (await isAsked()), 'the route or a page')
      if (seen === 1) return 'gets a token'
      assert.equal(await linkOn(tab, 'Open this page'), '/api/me?from=app')
      await follow(app, tab, 1)
      // The click has ended the mark.
      await tab.goto(`${app.site.origin}/link`)
      await follow(app, tab, 2)
      return 'needs another click, once'
    },
  },
  {
    name: 'token handler: the reload of an address that a click has opened',
    async see({ app, visit }) {
      const { tab } = await visit('/link')
      await signInByAddress(app, tab, '/api/me?n=5')
      await follow(app, tab, 1)
      await tab.reload()
      if (served(app).length === 2) return 'gets a token'
      assert.equal(await linkOn(tab, 'Open this page'), '/api/me?n=5')
      await follow(app, tab, 2)
      return 'needs another click'
    },
  },
]

/** @type {import('../suite.mjs').Group[]} */
export const navigations = [{ name: 'navigations to a token handler', serve, capabilities }]
