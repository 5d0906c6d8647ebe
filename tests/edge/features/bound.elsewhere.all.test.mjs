// Bound sessions and another site: the login at a provider whose pages have a link or a form, and links into the app, whose
// pages call an API on the server.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted } from '../../support/app.mjs'
import { boundCookie, boundOf, LIFE, RENEWAL, startBound } from '../../support/edge/bound.mjs'
import { PLATFORMS } from '../../support/edge/platforms.mjs'
import { startTls } from '../../support/edge/tls.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'
import { escape } from '../../support/pages.mjs'

const time = { timeout: 60_000 }

let app, site, elsewhere

/** Node, with an app that has server code. */
const platform = {
  start: (options) =>
    PLATFORMS.node.start({ ...options, app: new URL('../apps/server_code.mjs', import.meta.url) }),
}

before(async () => {
  app = await startBound(platform, { coordinator: 'in-isolate', provider: { accessTokenSeconds: 3600 } })
  const server = await listen({ handler: answer })
  elsewhere = await startTls({ host: 'id.elsewhere.test' })
  elsewhere.forwardTo(server.origin)
  site = { origin: elsewhere.origin, close: () => Promise.all([elsewhere.close(), server.close()]) }
  // Browsers find the provider on the other site, and the handler uses the same provider.
  const discovered = await fetch(`${app.provider.issuer}/.well-known/openid-configuration`)
  const metadata = { ...(await discovered.json()), authorization_endpoint: `${site.origin}/auth` }
  app.provider.faults.add('discovery', { times: Infinity, answer: { body: metadata } })
}, time)
after(async () => {
  await site?.close()
  await app?.close()
})

/** Serves the other site: a page of the provider at `/auth`, which leads back to the app, and else a link to `to`. */
async function answer(request, response) {
  const { pathname, search, searchParams } = new URL(request.url, site.origin)
  if (pathname === '/favicon.ico') return response.writeHead(404).end()
  let to = searchParams.get('to')
  if (pathname === '/auth') {
    const visitor = new Visitor({ origin: 'https://app.invalid', urls: [] })
    const until = ({ origin }) => origin === app.site.origin
    to = (await visitor.authorize(app.provider.issuer + pathname + search, { until })).address.href
  }
  const { origin, pathname: path, searchParams: fields } = new URL(to)
  const inputs = [...fields].map(
    ([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`,
  )
  response
    .writeHead(200, { 'content-type': 'text/html' })
    .end(
      `<a href="${escape(to)}">Go on</a><form action="${origin}${path}">${inputs.join('')}<button>Go on</button></form>`,
    )
}

/** Opens a page of the other site with a link to this path of the app. */
const openLink = (page, path) => page.goto(`${site.origin}/?to=${encodeURIComponent(app.site.origin + path)}`)

const begins = {
  'the app': async (page) => {
    await booted(page)
    await page.evaluate(() => void auth.login().catch(() => {}))
  },
  'a link of the other site': async (page) => {
    await openLink(page, '/auth/login')
    await page.click('a')
  },
}

for (const [beginning, begin] of Object.entries(begins)) {
  for (const selector of ['a', 'button']) {
    const way = selector === 'a' ? 'a link' : 'a form'
    test(`a login from ${beginning} to ${way} of the provider is bound`, time, async () => {
      const page = await app.open()
      const before = app.requestsTo('/auth/bind').length
      await begin(page)
      await page.waitForURL(`${site.origin}/auth?*`)
      await page.click(selector)
      await page.waitForFunction((origin) => location.origin === origin && globalThis.boot, app.site.origin)
      assert.equal((await app.call(page)).value, 200)
      await boundCookie(page)
      const registrations = app.requestsTo('/auth/bind').slice(before)
      assert.deepEqual(
        registrations.map(({ status, headers }) => [status, headers.cookie]),
        [[200, undefined]],
      )
      await app.setClock(LIFE)
      await app.expire(page)
      const { value } = await app.call(page)
      await app.setClock(0)
      assert.equal(value, 200)
      await page.context().close()
    })
  }
}

/** Signs in, and follows a link of the other site to a page that the server renders, when the bound cookie has expired. */
async function follow() {
  const page = await app.open()
  await begins['the app'](page)
  await page.waitForURL(`${site.origin}/auth?*`)
  await page.click('a')
  await boundCookie(page)
  await openLink(page, '/rendered')
  await app.setClock(LIFE)
  await app.expire(page)
  const [place, count] = [app.requestsTo('/rendered').length, app.renewals().length]
  await page.click('a')
  await page.waitForFunction(() => ['alice', 'undefined'].includes(document.title))
  const title = await page.title()
  await app.setClock(0)
  const names = (await page.context().cookies(app.site.origin)).map(({ name }) => name)
  await page.context().close()
  assert.equal(title, 'alice')
  const renewals = app.renewals().slice(count)
  assert.equal(renewals.length, 1)
  const requests = app.requestsTo('/rendered').slice(place)
  const fresh = boundOf(`${renewals[0].answered['set-cookie']}`)
  assert.equal(boundOf(requests.at(-1).headers.cookie), fresh)
  return { requests, isMarked: names.includes('__Host-strongroom-outside') }
}

test('a link of another site waits for the renewal', time, async () => {
  const { requests, isMarked } = await follow()
  assert.equal(requests.length, 1)
  assert.equal(isMarked, false)
})

test('without `allowed_refresh_initiators`, a page repeats the navigation', time, async () => {
  const drop = ({ body }) => ({ body: body.replace(/"allowed_refresh_initiators":\["\*"\],/, '') })
  for (const path of ['/auth/bind', RENEWAL]) app.changes.set(path, drop)
  const { requests, isMarked } = await follow()
  app.changes.clear()
  assert.deepEqual(
    requests.map(({ headers }) => [headers['sec-fetch-site'], boundOf(headers.cookie) !== undefined]),
    [
      ['cross-site', false],
      ['same-origin', true],
    ],
  )
  assert.equal(isMarked, true)
})

/** Resolves with the status of the response to a data request, and with the code of the handler's error. */
const data = (page) =>
  page.evaluate(async () => {
    const { status, headers } = await fetch('/data')
    return `${status} ${headers.get('x-strongroom') ?? ''}`
  })

test('a data request waits for the renewal, or gets the error of its call', time, async () => {
  const page = await app.open()
  await begins['the app'](page)
  await page.waitForURL(`${site.origin}/auth?*`)
  await page.click('a')
  await boundCookie(page)
  await page.waitForFunction((origin) => location.origin === origin && globalThis.boot, app.site.origin)
  assert.equal((await app.call(page)).value, 200)
  await app.setClock(LIFE)
  await app.expire(page)
  const copied = await page.context().cookies()
  app.failing.set(RENEWAL, 500)
  assert.equal(await data(page), '503 renewal_failed')
  app.failing.clear()
  assert.equal(await data(page), '200 ')
  const thief = await app.open('/empty')
  await thief.context().addCookies(copied)
  assert.equal(await data(thief), '401 bound_cookie_missing')
  await app.setClock(0)
  for (const each of [page, thief]) await each.context().close()
})
