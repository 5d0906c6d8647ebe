// Another site begins a login, and the app redirects the browser to a route afterwards. The route gets no token before
// the user clicks.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { booted, giveConsent } from '../../support/app.mjs'
import { ALL, leftOut } from '../../support/combinations.mjs'
import { clickLate, isUsable, startPage } from '../../support/edge/page.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }

/**
 * Starts an app with the page `/go`, which redirects to a route, and another site, whose pages have a link to the address
 * in their query.
 */
async function start(sameSite) {
  const cookie = { keys: [randomBytes(32).toString('base64url')], sameSite }
  const app = await startPage('node', {
    coordinator: 'in-isolate',
    provider: { accessTokenSeconds: 3600 },
    route: { navigate: true },
    handler: { cookie },
  })
  const location = '/api/me?from=redirect'
  app.site.override('/go', { status: 303, headers: { Location: location }, body: '' })
  app.site.files['/link.html'] = '<!doctype html><a href="/api/me?from=link">A link of the app</a>'
  const elsewhere = await listen({
    handler(request, response) {
      const to = new URL(request.url, 'http://elsewhere').searchParams.get('to')
      response.writeHead(200, { 'Content-Type': 'text/html' })
      response.end(`<!doctype html><a href="${to?.replaceAll('&', '&amp;')}">click</a>`)
    },
  })
  return {
    ...app,
    elsewhere: elsewhere.origin,
    async close() {
      await elsewhere.close()
      await app.close()
    },
  }
}

/** Returns the queries of the requests that reached the API with a token. */
const served = ({ api }) =>
  api.requests
    .filter(({ authorization }) => authorization)
    .map(({ path }) => new URL(path, api.origin).search)

/** Opens a page of another site, and clicks on its link. */
async function comeFromElsewhere(app, page, path) {
  await page.goto(`${app.elsewhere}/?to=${encodeURIComponent(app.site.origin + path)}`)
  await page.click('a')
}

/** Waits for the page with a link to the route. Resolves with the link, which appears late. */
async function linkOf(page) {
  await page.waitForSelector('h1:has-text("Open this page")')
  const link = page.getByRole('link')
  await link.waitFor()
  return link
}

const logins = {
  'an address': () => '/auth/login?returnTo=/go',
  'a silent login': () => '/auth/login?prompt=none&returnTo=/go',
  'a portal': (app) => `/auth/login?iss=${app.provider.origin}&target_link_uri=/go`,
}

for (const sameSite of ['strict', 'lax']) {
  describe(`with ${sameSite} cookies`, { timeout: 300_000 }, () => {
    let app
    before(async () => {
      app = await start(sameSite)
    }, time)
    after(() => app?.close())
    const signedIn = async () => {
      const page = await app.open()
      await app.signIn(page)
      app.api.clear()
      return page
    }

    /** Without `--all`, only native tests check the other ways with `Lax` cookies. */
    const isWhole = ALL || sameSite === 'strict'

    for (const [what, address] of Object.entries(logins).slice(0, isWhole ? undefined : 1)) {
      // claim: handler-12
      test(`a page of the app that redirects to a route gets no token: ${what}`, time, async () => {
        const page = await signedIn()
        await comeFromElsewhere(app, page, address(app))
        if (what === 'an address') await giveConsent(page)
        const link = await linkOf(page)
        assert.deepEqual(served(app), [])
        // The link works, and the mark ends with it.
        await clickLate(link)
        await page.waitForURL(/from=redirect&strongroom-click=/)
        assert.deepEqual(served(app), ['?from=redirect'])
        await page.goto(`${app.site.origin}/link.html`)
        await page.click('a')
        await page.waitForURL(/from=link$/)
        assert.deepEqual(served(app), ['?from=redirect', '?from=link'])
      })
    }

    if (!isWhole) return

    // claim: handler-11
    test('a click that was meant for a window above the page does not open its link', time, async () => {
      const page = await signedIn()
      await comeFromElsewhere(app, page, logins['a silent login']())
      const link = await linkOf(page)
      const { x, y, width, height } = await link.boundingBox()
      const [left, top] = [x + width / 2, y + height / 2]
      // The window above has closed with the first click of a double-click.
      await page.mouse.move(left, top)
      await page.mouse.down({ clickCount: 2 })
      await page.mouse.up({ clickCount: 2 })
      await isUsable(link)
      assert.deepEqual(served(app), [])
      assert.equal(await page.getByRole('link').count(), 1)
      // Control: a user has the mouse on the page for a second.
      await page.mouse.click(left, top)
      await page.waitForURL(/from=redirect&strongroom-click=/)
      assert.deepEqual(served(app), ['?from=redirect'])
    })

    leftOut('a link of the app ends the mark', time, async () => {
      const page = await signedIn()
      await comeFromElsewhere(app, page, logins['a silent login']())
      await linkOf(page)
      await page.goto(`${app.site.origin}/link.html`)
      await page.click('a')
      await page.waitForURL(/from=link$/)
      assert.deepEqual(served(app), ['?from=link'])
      const cookies = await page.context().cookies(app.site.origin)
      assert.ok(cookies.every(({ name }) => name !== 'strongroom-outside'))
    })

    leftOut('a login of the app sets no mark', time, async () => {
      const page = await app.open()
      await app.signIn(page, { returnTo: '/orders' })
      const cookies = await page.context().cookies(app.site.origin)
      assert.deepEqual(
        cookies.map(({ name }) => name),
        ['strongroom'],
      )
      app.api.clear()
      await booted(page)
      await page.evaluate(() => void setTimeout(() => location.assign('/api/me?from=script'), 0))
      await page.waitForURL(/from=script$/)
      assert.deepEqual(served(app), ['?from=script'])
    })

    // claim: handler-13
    test('the opener of a window with a route', time, async () => {
      for (const page of [await app.open(), await signedIn()]) {
        await page.goto(app.elsewhere)
        await page.evaluate((url) => {
          globalThis.opened = window.open(url)
        }, `${app.site.origin}/api/me`)
        await page.waitForFunction(() => opened.closed)
        // Control: the window of a login keeps its opener.
        const open = (url) => {
          globalThis.opened = window.open(url)
        }
        const [popup] = await Promise.all([
          page.waitForEvent('popup'),
          page.evaluate(open, `${app.site.origin}/auth/login?prompt=login`),
        ])
        await popup.waitForSelector('form')
        assert.equal(await page.evaluate(() => opened.closed), false)
      }
    })
  })
}
