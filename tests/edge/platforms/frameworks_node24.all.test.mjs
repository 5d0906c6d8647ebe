// Tests of server code in apps whose frameworks need Node 24: calls of APIs while the server renders a page, in requests
// for data, and in actions. With the packed package, the framework's own build and server, and a real provider. These
// tests run with `--all`; to run this file, set TEST_ALL=1.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { giveConsent } from '../../support/app.mjs'
import { shareBrowser } from '../../support/browser.mjs'
import { ALL } from '../../support/combinations.mjs'
import { doctor } from '../../support/doctor.mjs'
import { framework, names, prepare } from '../../support/edge/node24.mjs'
import { clickLate } from '../../support/edge/page.mjs'
import { startEdgeSite } from '../../support/edge/site.mjs'

const skip = !ALL && 'these tests run with --all'

describe('server code on Node 24', { skip, timeout: 600_000 }, () => {
  let tarball
  let use
  before(async () => {
    tarball = await prepare()
    use = await shareBrowser()
  })
  after(() => use?.close())

  for (const name of names) {
    describe(name, () => {
      let app
      before(async () => {
        app = await startEdgeSite(framework(name, tarball))
      })
      after(() => app?.close())

      const sent = (method) => app.api.requests.filter((request) => request.method === method)

      /** Opens a browser and its first page. Scripts in the pages must not fail. */
      async function visit(t) {
        const context = await use.browser.newContext()
        const errors = []
        t.after(async () => {
          await context.close()
          assert.deepEqual(errors, [])
        })
        const open = async (path) => {
          const page = await context.newPage()
          page.on('pageerror', (error) => errors.push(error))
          page.on(
            'console',
            (line) => /Content Security Policy/.test(line.text()) && errors.push(line.text()),
          )
          page.setDefaultTimeout(20_000)
          await page.goto(app.site.origin + path)
          return page
        }
        const cookies = async () => {
          const all = await context.cookies(app.site.origin)
          return JSON.stringify(all.filter((cookie) => cookie.name.includes('strongroom')))
        }
        return { context, open, cookies, page: await open('/') }
      }

      /**
       * Signs a browser in and opens a page. If `isExpired` is true, the access token has then expired. Later tokens last
       * for ten minutes.
       */
      async function signIn(t, { isExpired = false, at = '/' } = {}) {
        app.provider.settings.accessTokenSeconds = isExpired ? 3 : 600
        const visitor = await visit(t)
        await visitor.page.click('text=Sign in')
        await giveConsent(visitor.page)
        await visitor.page.waitForSelector('text=Hello, Alice Liddell')
        if (at !== '/') await visitor.page.goto(app.site.origin + at)
        await visitor.page.waitForLoadState('networkidle')
        if (isExpired) await app.ledger.accessTokenExpired()
        app.provider.settings.accessTokenSeconds = 600
        const before = { refreshes: app.ledger.refreshes().length, cookies: await visitor.cookies() }
        /** Checks that the provider got one refresh, and the browser its cookie. */
        const checkOneRefresh = async () => {
          assert.equal(app.ledger.refreshes().length - before.refreshes, 1)
          assert.ok((await visitor.cookies()) !== before.cookies, 'the cookie is still the same')
        }
        return { ...visitor, checkOneRefresh }
      }

      test('the server renders the page for its user', async (t) => {
        const { page } = await visit(t)
        await page.waitForSelector('text=Hello, stranger')
        const signedIn = await signIn(t)
        const response = await signedIn.page.goto(`${app.site.origin}/`)
        assert.match(await response.text(), /Hello, Alice Liddell/)
        assert.equal(response.headers()['cache-control'], 'private, no-store')
      })

      test('a page that calls an API refreshes once, for all tabs', async (t) => {
        const { page, open, checkOneRefresh } = await signIn(t, { isExpired: true })
        const response = await page.goto(`${app.site.origin}/orders`)
        assert.match(await response.text(), /<li/)
        await checkOneRefresh()
        const tab = await open('/orders')
        await tab.waitForSelector('li')
        await page.reload()
        await page.waitForSelector('li')
        await checkOneRefresh()
      })

      test('a request for data refreshes once, for all tabs', async (t) => {
        const { page, open, checkOneRefresh } = await signIn(t, { isExpired: true })
        await page.evaluate(() => {
          globalThis.isSamePage = true
        })
        await page.click('text=Orders')
        await page.waitForSelector('li')
        assert.ok(await page.evaluate(() => globalThis.isSamePage))
        await checkOneRefresh()
        const tab = await open('/orders')
        await tab.waitForSelector('li')
        await checkOneRefresh()
      })

      /** Orders an item on the page. Resolves with the request of the page. */
      async function order(page, item) {
        const request = page.waitForRequest((each) => each.method() === 'POST')
        await page.fill('input[name=item]', item)
        await page.click('button:has-text("Order")')
        await page.waitForSelector(`li:has-text("${item}")`)
        return request
      }

      test('an action refreshes once, and sends the order', async (t) => {
        const { page, checkOneRefresh } = await signIn(t, { isExpired: true, at: '/orders' })
        const before = sent('POST').length
        await order(page, 'telescope')
        assert.equal(sent('POST').length, before + 1)
        assert.match(sent('POST').at(-1).authorization, /^Bearer eyJ/)
        await checkOneRefresh()
      })

      test("another origin's form sends no order", async (t) => {
        const { page, context } = await signIn(t, { at: '/orders' })
        const action = (await order(page, 'sextant')).url()
        const forms = [`${app.site.origin}/orders`, action].map(
          (url) => `<form method="post" action="${url}"><input name="item" value="poison"></form>`,
        )
        const evil = await serveHtml(forms.join(''))
        t.after(evil.close)
        const before = sent('POST').length
        const submit = async (at) => {
          const tab = await context.newPage()
          await tab.goto(evil.origin)
          const responded = tab.waitForResponse((each) => each.request().method() === 'POST')
          await tab.evaluate((at) => document.forms[at].submit(), at)
          const response = await responded
          assert.match((await response.request().allHeaders()).cookie, /strongroom=/)
          return response.status()
        }
        await submit(0)
        assert.ok((await submit(1)) >= 400)
        assert.equal(sent('POST').length, before)
      })

      test('the doctor finds nothing wrong with the handler', async () => {
        const { lines, by } = await doctor(`${app.site.origin}/orders`)
        assert.deepEqual(
          lines.filter(({ result }) => result === 'fault'),
          [],
        )
        assert.equal(by['handler.login'].result, 'ok')
      })

      test('without a session, a page and a request for data lead to the login', async (t) => {
        const { page, open } = await signIn(t)
        const tab = await open('/')
        await tab.waitForLoadState('networkidle')
        await page.click('text=Sign out')
        await page.waitForSelector('button[value=yes]')
        await page.click('button[value=yes]')
        await page.waitForSelector('text=Hello, stranger')
        // The user has signed out in this browser, so the login begins with a click.
        const another = await open('/orders')
        await clickLate(another.getByText('Sign in', { exact: true }))
        await another.waitForSelector('#username')
        await tab.click('text=Orders')
        await clickLate(tab.getByText('Sign in', { exact: true }))
        await giveConsent(tab)
        await tab.waitForURL(`${app.site.origin}/orders`)
        await tab.waitForSelector('li')
      })

      if (name !== 'react-router') return

      test('the doctor finds nothing wrong with its headers', async () => {
        const { lines, by } = await doctor(app.site.origin)
        assert.deepEqual(
          lines.filter(({ result }) => result === 'fault'),
          [],
        )
        assert.equal(by['page.form-action'].text, 'form-action is limited')
      })

      test('without script, an action sends the order', async (t) => {
        const { context } = await signIn(t)
        const plain = await use.browser.newContext({ javaScriptEnabled: false })
        t.after(() => plain.close())
        await plain.addCookies(await context.cookies())
        const page = await plain.newPage()
        await page.goto(`${app.site.origin}/orders`)
        await order(page, 'astrolabe')
      })

      test('a device signs out another one, and all others', async (t) => {
        const devices = await signIn(t, { at: '/devices' })
        const others = [await signIn(t), await signIn(t)]
        const signOut = async (button, left) => {
          await devices.page.reload()
          await devices.page.click(`button:has-text("${button}")`)
          await devices.page.waitForFunction((left) => document.querySelectorAll('li').length === left, left)
        }
        // Earlier tests have left sessions, too.
        await signOut('Sign out my other devices', 1)
        for (const { page } of others) {
          await page.reload()
          await page.waitForSelector('text=Hello, stranger')
        }
        const { page } = await signIn(t)
        await signOut('Sign out this device', 1)
        await page.click('text=Devices')
        await clickLate(page.getByText('Sign in', { exact: true }))
        await giveConsent(page)
        await page.waitForSelector('li:has-text("this device")')
      })
    })
  }
})

/** Serves a page of another origin of the same site, so that the browser sends the app's cookies with its forms. */
async function serveHtml(html) {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html))
  // A test's earlier cleanup may fail, and then Node does not call `close`.
  await new Promise((resolve) => server.listen(0, 'localhost', resolve).unref())
  return { origin: `http://localhost:${server.address().port}`, close: () => server.close() }
}
