// A thief has all cookies of a bound session: in another Chromium, in Firefox, and in a client that is no browser.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { booted } from '../../support/app.mjs'
import { ALL, rows } from '../../support/combinations.mjs'
import { BOUND, LIFE, startBound } from '../../support/edge/bound.mjs'
import { startFirefox } from '../../support/engines/firefox.mjs'

const time = { timeout: 60_000 }

/** Each case is a platform, a coordinator and a storage. */
const CASES = rows([
  ['node', 'in-isolate', 'sealed-in-cookie'],
  ['workerd', 'durable-object', 'in-store'],
  ...(ALL
    ? [
        ['node', 'node-redis', 'in-store'],
        ['deno', 'deno-kv', 'sealed-in-cookie'],
      ]
    : []),
])

const call = { path: '/api/orders' }

/** The requests of a thief. The logout comes last, because it clears the thief's cookies. */
const REQUESTS = [
  ...Array(5).fill(call),
  { ...call, headers: { 'secure-session-skipped': 'unreachable' } },
  { path: '/api/upload', method: 'POST', body: 'a file' },
  { path: '/api/on/news', headers: { accept: 'text/event-stream' } },
  { path: '/auth/session' },
  { path: '/rendered' },
  { path: '/auth/logout', method: 'POST' },
]
const ALL_PATHS = REQUESTS.map(({ path }) => path)

function succeeds(path, { status, text }) {
  if (path === '/auth/logout') return JSON.parse(text).ended !== false
  const isAboutUser = path === '/auth/session' || path === '/rendered'
  return status < 300 && (!isAboutUser || text.includes('alice'))
}

/** Returns the paths of the requests that succeeded. */
const successes = (responses) => ALL_PATHS.filter((path, i) => succeeds(path, responses[i]))

/** Sends the requests as a page of the app. The browser does not let a script set some of the headers. */
async function inPage(requests) {
  const responses = []
  for (const { path, method, headers, body } of requests) {
    const response = await fetch(path, { method, body, headers: { ...headers, 'x-strongroom': '1' } })
    responses.push({ status: response.status, text: await response.text() })
  }
  return responses
}

/** The clients of thieves. Each takes the app and the cookies, and resolves with the responses to the requests. */
const THIEVES = {
  async 'another Chromium'(app, cookies) {
    const page = await app.open('/empty')
    await page.context().addCookies(cookies)
    const responses = await page.evaluate(inPage, REQUESTS)
    await page.context().close()
    return responses
  },

  async 'a client that is no browser'(app, cookies) {
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    const origin = app.site.origin
    const own = { cookie, origin, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin' }
    const responses = []
    for (const { path, method, headers, body } of REQUESTS) {
      const response = await fetch(app.handlerOrigin + path, {
        method,
        body,
        headers: { ...own, ...headers },
      })
      responses.push({ status: response.status, text: await response.text() })
    }
    return responses
  },

  ...(ALL && {
    async Firefox(app, cookies) {
      const firefox = await startFirefox({ acceptInsecureCerts: true })
      try {
        const session = await firefox.newSession()
        const tab = await session.open(`${app.site.origin}/empty`)
        const partition = { type: 'storageKey', userContext: session.userContext }
        for (const { name, value, path, secure, httpOnly, expires } of cookies) {
          const cookie = {
            name,
            value: { type: 'string', value },
            domain: 'localhost',
            path,
            secure,
            httpOnly,
            sameSite: 'lax',
            expiry: Math.ceil(expires),
          }
          await firefox.client.send('storage.setCookie', { cookie, partition })
        }
        assert.equal((await tab.cookies()).length, cookies.length)
        return await tab.evaluate(inPage, REQUESTS)
      } finally {
        await firefox.close()
      }
    },
  }),
}

for (const [platform, coordinator, storage] of CASES) {
  describe(`${platform}, ${storage}`, { timeout: 300_000 }, () => {
    let bound, unbound
    before(async () => {
      const start = (session) =>
        startBound(platform, {
          coordinator,
          provider: { accessTokenSeconds: 3600 },
          session: { storage, ...session },
        })
      ;[bound, unbound] = await Promise.all([start({}), start({ bind: false })])
      for (const { api } of [bound, unbound]) {
        api.on('news', ({ response }) => {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: hello\n\n')
        })
      }
    }, time)
    after(() => Promise.all([bound?.close(), unbound?.close()]))

    /** Lets the owner sign in, and a thief use the cookies when the bound cookie has ended. */
    async function steal(app, signIn, rob) {
      const page = await app.open()
      await signIn(page)
      const cookies = await page.context().cookies(app.site.origin)
      try {
        await app.setClock(LIFE)
        app.api.clear()
        const got = successes(await rob(app, cookies))
        const reached = app.api.requests.length
        await app.expire(page)
        const { value } = await app.call(page)
        const owner = await page.evaluate(() => auth.session?.claims.sub)
        return { cookies, got, reached, value, owner }
      } finally {
        await app.setClock(0)
        await page.context().close()
      }
    }

    for (const [thief, rob] of Object.entries(THIEVES)) {
      // claim: handler-63
      test(`stolen cookies are useless: ${thief}`, time, async () => {
        const { cookies, ...rest } = await steal(bound, bound.signInBound, rob)
        assert.ok(cookies.some(({ name }) => name === BOUND))
        assert.deepEqual(rest, { got: [], reached: 0, value: 200, owner: 'alice' })
        const ends = (await bound.told()).filter(({ sid }) => sid)
        assert.deepEqual(ends, [])
      })

      test(`${thief}: control, those of an unbound session work`, time, async () => {
        const { cookies, got, owner } = await steal(unbound, unbound.signIn, rob)
        assert.ok(cookies.every(({ name }) => name !== BOUND))
        assert.deepEqual(got, ALL_PATHS)
        assert.equal(owner, undefined)
      })
    }

    test('control: stolen cookies work within their life', time, async () => {
      const page = await bound.open()
      await bound.signInBound(page)
      const cookies = await page.context().cookies(bound.site.origin)
      const got = successes(await THIEVES['a client that is no browser'](bound, cookies))
      assert.deepEqual(got, ALL_PATHS)
      await page.context().close()
    })
  })
}
