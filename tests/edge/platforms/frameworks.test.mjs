// Tests of the token handler in the apps of docs/server-code.md and docs/nextjs.md, with the packed tarball, the
// framework's own build and server, and a real provider. The usual run has one framework, and the adapters of all in
// adapters.test.mjs.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import * as fastify from '../../../pkg/dist/edge/fastify.js'
import { giveConsent } from '../../support/app.mjs'
import { shareBrowser } from '../../support/browser.mjs'
import { ALL, rows } from '../../support/combinations.mjs'
import { doctor } from '../../support/doctor.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { framework, frameworks, load, prepare } from '../../support/edge/frameworks.mjs'
import { ORIGIN, startInProcess } from '../../support/edge/in_process.mjs'
import { clickLate } from '../../support/edge/page.mjs'
import { startEdgeSite } from '../../support/edge/site.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { freePort } from '../../support/listen.mjs'

describe('in a framework', { concurrency: 2, timeout: ALL ? 900_000 : 300_000 }, () => {
  let tarball
  before(async () => {
    tarball = await prepare()
  })

  for (const { name, pages } of rows(frameworks)) {
    // One test at a time, because tests change how long tokens live, and count refreshes.
    describe(name, { concurrency: 1 }, () => {
      const isNext = name.startsWith('next')
      let app
      before(async () => {
        app = await startApp(framework(name, tarball), { provider: { accessTokenSeconds: 60 } })
      })
      after(() => app?.stop())

      const home = ({ origin, pathname }) => origin === app.origin && pathname === '/'
      const signedIn = async () => {
        const visitor = app.visitor()
        const { address } = await visitor.signIn({ returnTo: '/', until: home })
        assert.equal(address.href, `${app.origin}/`)
        return visitor
      }
      const page = async (visitor, path = '/') => (await visitor.go(path)).response.text()

      test('login gives the page its session', async () => {
        const visitor = await signedIn()
        assert.equal((await visitor.session()).session.claims.sub, 'alice')
      })

      for (const path of pages) {
        test(`the server renders ${path} for the signed-in user`, async () => {
          assert.match(await page(app.visitor(), path), /Hello, stranger/)
          assert.match(await page(await signedIn(), path), /Hello, Alice Liddell/)
        })
      }

      /** Signs in, and waits until the access token has expired. */
      const expired = async () => {
        const { ledger, settings } = app.provider
        const { accessTokenSeconds } = settings
        settings.accessTokenSeconds = 1
        const visitor = await signedIn()
        settings.accessTokenSeconds = accessTokenSeconds
        await ledger.accessTokenExpired()
        return visitor
      }

      test('the server calls an API, with one refresh and a new cookie', async () => {
        const visitor = await expired()
        const tab = visitor.copy()
        const { ledger } = app.provider
        const before = ledger.refreshes().length
        const { response } = await visitor.go('/orders')
        assert.match(await response.text(), /<li>Brass hinges, pair<\/li>/)
        assert.match(response.headers.get('cache-control'), /no-store/)
        const cookies = ({ cookies }) => [...cookies].join()
        // A server component cannot set a cookie.
        assert.equal(cookies(visitor) === cookies(tab), isNext)
        for (const each of [visitor, tab]) assert.match(await page(each, '/orders'), /<li>Brass hinges/)
        assert.deepEqual(
          ledger
            .refreshes()
            .map(({ outcome }) => outcome)
            .slice(before),
          ['issued'],
        )
      })

      const orders = () => app.api.requests.filter(({ method }) => method === 'POST').length

      test('an action posts an order, and sets the new cookie', async () => {
        const visitor = await expired()
        const copy = visitor.copy()
        const { response, item } = await order(visitor)
        assert.equal(`${response.status} ${response.headers.get('location')}`, '303 /orders')
        assert.notDeepEqual([...visitor.cookies], [...copy.cookies])
        assert.match(await page(visitor, '/orders'), new RegExp(`<li>${item}</li>`))
      })

      test('an action of another site posts nothing', async () => {
        const visitor = await signedIn()
        const before = orders()
        for (const headers of [
          { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
          { origin: app.origin, 'sec-fetch-site': 'cross-site' },
          { origin: app.origin, 'sec-fetch-site': 'same-site' },
        ]) {
          const { response } = await order(visitor, headers)
          assert.ok(response.status >= 400, `${response.status}`)
        }
        assert.equal(orders(), before)
      })

      let count = 0
      /** Sends the form of the page with the orders, by default as the browser does for this page. */
      const order = async (visitor, headers = { origin: app.origin, 'sec-fetch-site': 'same-origin' }) => {
        const item = `lantern ${count++}`
        const form = new FormData()
        // A form of Next.js contains the identifier of its action. Its page cannot set a cookie before that.
        const text = isNext ? await page(visitor, '/orders') : ''
        for (const [, name] of text.matchAll(/name="(\$ACTION[^"]*)"/g)) form.set(name, '')
        form.set('item', item)
        const { body, type } = await encoded(form)
        // Next.js compares Origin with the host for browsers.
        const outside = isNext && { 'x-forwarded-host': new URL(app.origin).host }
        const response = await visitor.send('/orders', {
          method: 'POST',
          body,
          headers: { accept: 'text/html', 'content-type': type, ...outside, ...headers },
        })
        return { response, item }
      }

      test('call is forwarded with the access token and its body', async () => {
        const visitor = await signedIn()
        const body = JSON.stringify({ item: 'lantern', quantity: 2 })
        const headers = { 'content-type': 'application/json' }
        const response = await visitor.call('/api/orders', { method: 'POST', body, headers })
        assert.equal(response.status, 201, await response.clone().text())
        const { id, item } = await response.json()
        assert.equal(item, 'lantern')
        assert.equal(response.headers.get('location'), `/v1/orders/${id}`)
        const call = app.api.requests.at(-1)
        assert.match(call.headers.authorization, /^Bearer eyJ/)
        assert.equal(call.headers.cookie, undefined)
      })

      // The app with the Edge Runtime has no next.config.ts, which sets these headers.
      if (isNext && !name.includes('Edge Runtime')) {
        test("pages, and not the handler's endpoints, have the guide's headers", async () => {
          const visitor = await signedIn()
          const { headers } = (await visitor.go('/')).response
          const policy = headers.get('content-security-policy')
          for (const part of ["default-src 'none'", "frame-src 'none'", "object-src 'none'"])
            assert.ok(policy.split('; ').includes(part), policy)
          assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin')
          const response = await visitor.call('/api/me')
          assert.equal(response.headers.get('cross-origin-opener-policy'), null)
        })
      }

      test('the handler refuses calls without the header', async () => {
        const visitor = await signedIn()
        const response = await visitor.send('/api/me')
        assert.equal(response.status, 403)
        assert.equal((await response.json()).error.code, 'cross_site_request')
      })

      test('app handles other URLs', async () => {
        const { response } = await (await signedIn()).go('/nowhere')
        assert.equal(response.status, 404)
        assert.match(await response.text(), /The app does not know this/)
      })

      test("back-channel logout passes the framework's form checks", async () => {
        const body = 'logout_token=none'
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const response = await app
          .visitor()
          .send('/auth/backchannel-logout', { method: 'POST', body, headers })
        assert.equal(response.status, 400)
        assert.equal((await response.json()).error, 'invalid_request')
      })

      // A page of Next.js cannot delete a cookie.
      if (isNext) {
        test('an action deletes the cookie of a session that has ended', async () => {
          const visitor = await expired()
          const names = () => [...visitor.cookies.keys()].filter((name) => /strongroom$/.test(name))
          app.provider.faults.add('token', { answer: { status: 400, body: { error: 'invalid_grant' } } })
          await page(visitor, '/orders')
          assert.equal(names().length, 1)
          // A process that responds late leaves the cookie to the next request: the browser may have another one by then.
          do {
            const { response } = await order(visitor)
            assert.equal(response.headers.get('location'), '/auth/login?returnTo=/orders&automatic')
          } while (names().length)
        })
      }

      test('copied cookie is invalid after logout', async () => {
        const visitor = await signedIn()
        const copy = visitor.copy()
        assert.equal((await copy.call('/api/me')).status, 200)
        const response = await visitor.call('/auth/logout', { method: 'POST' })
        assert.equal(response.status, 200, await response.clone().text())
        assert.match(await page(visitor), /Hello, stranger/)
        assert.doesNotMatch(await (await visitor.send('/orders')).text(), /<li>/)
        assert.equal((await copy.call('/api/me')).status, 401)
      })
    })
  }

  // claim: handler-74
  test('fastify: hijacked reply is private, and does not use the session too late', async () => {
    const server = load('fastify')()
    const create = (config) => {
      const handler = createTokenHandler({ ...config, log() {} })
      server.register(fastify.strongroom(handler, { origin: ORIGIN }))
      return handler
    }
    const handler = { coordinator: inIsolate(), session: { idle: 600 } }
    const provider = await startInProcess(create, { accessTokenSeconds: 300, handler })
    const own = { 'Set-Cookie': 'own=1', 'Cache-Control': 'public', 'X-LiteSpeed-Cache-Control': 'public' }
    server.get('/', async () => 'home')
    server.get('/stream', async ({ strongroom }, reply) => {
      reply.hijack()
      const { claims } = await strongroom.session
      reply.raw.writeHead(200, own)
      reply.raw.end(claims.sub)
    })
    server.get('/late', async ({ strongroom }, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, own)
      reply.raw.end(await strongroom.session.catch(({ code }) => code))
    })
    try {
      const url = await server.listen({ host: '127.0.0.1', port: 0 })
      const visitor = new Visitor({ origin: ORIGIN, urls: [url] })
      await visitor.signIn({ until: ({ origin, pathname }) => origin === ORIGIN && pathname === '/' })
      const kept = ['cache-control', 'x-litespeed-cache-control', 'set-cookie']
      const visit = async (path) => {
        const response = await visitor.send(path)
        return [await response.text(), ...kept.map((name) => response.headers.get(name))]
      }
      assert.deepEqual(await visit('/stream'), ['alice', 'private, no-store', null, 'own=1'])
      assert.deepEqual(await visit('/late'), ['unsupported', 'public', 'public', 'own=1'])
    } finally {
      await server.close()
      await provider.close()
    }
  })

  for (const { name } of rows(frameworks).filter(({ name }) => name.startsWith('next'))) {
    test(`${name}: client and server show the session of all tabs`, async () => {
      const site = await freePort()
      const app = await startEdgeSite(framework(name, tarball), { ports: { site } })
      const use = await shareBrowser()
      const context = await use.browser.newContext()
      try {
        const errors = []
        const open = async () => {
          const page = await context.newPage()
          page.on('pageerror', (error) => errors.push(error))
          await page.goto(app.site.origin)
          return page
        }
        const page = await open()
        await page.waitForSelector('text=Hello, stranger')
        await page.click('text=Sign in')
        await giveConsent(page)
        await page.waitForSelector('text=Hello, Alice Liddell')
        await page.click('text=Show orders')
        await page.waitForSelector('li')
        const tab = await open()
        await tab.waitForSelector('text=Hello, Alice Liddell')
        await tab.click('text=Sign out')
        for (const each of [tab, page]) await each.waitForSelector('text=Hello, stranger')
        assert.deepEqual(errors, [])
      } finally {
        await context.close()
        await use.close()
        await app.close()
      }
    })
  }

  for (const { name } of rows(frameworks)) {
    test(`${name}: the doctor finds no fault in the guide's app`, async () => {
      const platform = framework(name, tarball)
      const app = await startEdgeSite(platform, { ports: { site: await freePort() } })
      try {
        const file = await platform.config()
        const own = file ? ['--config', file] : []
        // The guide shows no other page of these apps, and gives their pages no headers.
        const paths = /svelte|astro/.test(name) ? ['/orders'] : ['/', '/orders']
        for (const path of paths) {
          const { lines, by } = await doctor(app.site.origin + path, ...own)
          const faults = lines.filter(({ result }) => result === 'fault')
          assert.deepEqual(faults, [])
          assert.equal(by['handler.login'].result, 'ok')
        }
      } finally {
        await app.close()
      }
    })
  }

  /** A browser drives the apps of these frameworks, with `--all` those of all, and in the usual run only the first one. */
  const driven = rows(frameworks).filter(({ name }) => ALL || ['hono on Node', 'next'].includes(name))
  for (const { name } of driven) {
    for (const javaScriptEnabled of name.startsWith('next') ? [true, false] : [true]) {
      test(`${name}: pages and actions in a browser${javaScriptEnabled ? '' : ' without script'}`, async () => {
        const app = await startEdgeSite(framework(name, tarball), { ports: { site: await freePort() } })
        const use = await shareBrowser()
        const context = await use.browser.newContext({ javaScriptEnabled })
        try {
          const { ledger, settings } = app.provider
          const open = async (path) => {
            const page = await context.newPage()
            page.setDefaultTimeout(20_000)
            await page.goto(app.site.origin + path)
            return page
          }
          // Without script, browsers do not show what Next.js streams.
          const state = javaScriptEnabled ? 'visible' : 'attached'
          const shows = (page, text = 'Brass hinges') =>
            page.waitForSelector(`li:has-text("${text}")`, { state })
          settings.accessTokenSeconds = 1
          // A page that calls nothing.
          const page = await open('/auth/login?returnTo=/nowhere')
          await giveConsent(page)
          await page.waitForURL(`${app.site.origin}/nowhere`)
          await app.provider.letAccessTokenExpire()
          const before = ledger.refreshes().length
          await page.goto(`${app.site.origin}/orders`)
          const tab = await open('/orders')
          for (const each of [page, tab]) await shows(each)
          await page.fill('input[name=item]', 'lantern')
          await page.click('text=Order')
          await shows(page, 'lantern')
          await tab.reload()
          await shows(tab, 'lantern')
          assert.equal(ledger.refreshes().length, before + 1)
          // The page of Next.js allows no form to continue at the provider, and signs out by script.
          if (!name.startsWith('next')) await page.click('text=Sign out')
          else if (javaScriptEnabled) {
            await page.goto(app.site.origin)
            await page.click('text=Sign out')
            await page.waitForSelector('text=Hello, stranger')
          } else return
          await page.waitForURL(({ pathname }) => pathname !== '/orders')
          await tab.reload()
          // The user has signed out, so the login begins with a click.
          await clickLate(tab.getByText('Sign in', { exact: true }))
          await tab.waitForURL(/\/interaction\//)
        } finally {
          await context.close()
          await use.close()
          await app.close()
        }
      })
    }
  }
})

/** Encodes a form as browsers do: Next.js sends its forms as `multipart/form-data`. */
const encoded = async (form) => {
  const isNext = [...form.keys()].some((name) => name.startsWith('$ACTION'))
  const request = new Response(isNext ? form : new URLSearchParams(form))
  return { body: await request.text(), type: request.headers.get('content-type') }
}
