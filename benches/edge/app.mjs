/**
 * Returns an app that runs on every platform. The app contains the token handler of the tests, and the handlers that
 * the bench compares with this token handler.
 */
import makeApp from '../../tests/edge/apps/handler.mjs'
import { BY_HAND, byHand, decryption, plainProxy, verification } from './contenders.mjs'

/** Headers of a script's request in addition to the cookie. */
const FIELDS = {
  'x-strongroom': '1',
  accept: 'application/json',
  'accept-language': 'en',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty',
}

const ANSWER = {
  'content-type': 'application/json',
  'content-length': '0',
  date: 'Fri, 20 Nov 2026 20:00:00 GMT',
  etag: '"1"',
}

/** Returns the approximate size in bytes of the session in a cookie. */
const lengthIn = (cookie) => Math.floor((cookie.length * 3) / 4) - 50

export default (coordinator) => {
  const app = makeApp(coordinator)
  const unbound = makeApp(coordinator)
  const made = new Map()
  /** Cookies of many sessions, which a request for `/cookies` brings. */
  let many = []

  let proxyByHand
  /**
   * Handles a request by the handwritten proxy. A request for `/cookie` creates this proxy, and returns a cookie for it
   * that is as long as the cookie of the token handler.
   */
  const sendByHand = async (request, env) => {
    if (!request.url.endsWith('/cookie')) return proxyByHand.handle(request)
    const length = lengthIn(request.headers.get('cookie'))
    const parts = { length, upstream: env.UPSTREAM, fields: FIELDS, prefix: '/by-hand/' }
    proxyByHand = await byHand(BY_HAND[0], parts)
    return new Response(proxyByHand.request.headers.get('cookie'))
  }

  /** Returns the environment of a handler that differs only in that it does not bind sessions. */
  const withoutBinding = (env) => {
    const { session: { bind, ...session } = {}, ...rest } = JSON.parse(env.OPTIONS)
    return { ...env, OPTIONS: JSON.stringify({ ...rest, session }) }
  }

  const make = async (what, cookie, renewal, env, context) => {
    if (what === 'renewal') {
      const { path, headers } = JSON.parse(renewal)
      const request = new Request(env.ORIGIN + path, { method: 'POST', headers })
      return { request, handle: (request) => app.fetch(request, env, context) }
    }
    if (what === 'verification') return verification()
    const length = lengthIn(cookie)
    const parts = { length, upstream: 'https://api.example.com/v1/', fields: FIELDS }
    if (BY_HAND.includes(what)) return byHand(what, parts)
    if (what === 'decryption') return decryption(parts)
    const path = what.endsWith('guarded') ? '/api/orders' : '/open/orders'
    const request = new Request(env.ORIGIN + path, { headers: { ...FIELDS, cookie } })
    const [used, itsEnv] = what.includes('unbound') ? [unbound, withoutBinding(env)] : [app, env]
    const handle = (request) => used.fetch(request, itsEnv, context)
    if (!what.includes('sessions')) return { request, cookies: [cookie], handle }
    // Cookies that are older than a minute would make the handler record activity.
    request.headers.set('x-strongroom', 'background')
    return { request, cookies: many, handle }
  }

  /**
   * Handles the same request `count` times, with an upstream that responds immediately. If there are several cookies, the
   * requests have them in turn. The caller measures the time, because some platforms stop their clocks while code runs.
   */
  const repeat = async (request, env, context) => {
    const { searchParams } = new URL(request.url)
    const [what, count] = [searchParams.get('what'), Number(searchParams.get('count'))]
    const [cookie, renewal] = ['cookie', 'x-renewal'].map((name) => request.headers.get(name))
    const key = `${what} ${cookie} ${renewal}`
    if (!made.has(key)) made.set(key, await make(what, cookie, renewal, env, context))
    const contender = made.get(key)
    const { request: known, cookies, handle } = contender
    // In workerd, a request cannot use the abort signal of another one.
    const repeated = known && new Request(known.url, { method: known.method, headers: known.headers })
    const { fetch } = globalThis
    const answer = new Response(null, { headers: ANSWER })
    globalThis.fetch = async () => answer
    try {
      for (let i = 0; i < count; i++) {
        if (cookies) {
          contender.turn = ((contender.turn ?? -1) + 1) % cookies.length
          repeated.headers.set('cookie', cookies[contender.turn])
        }
        const response = await handle(repeated)
        if (repeated && response.status !== 200) return response
      }
    } finally {
      globalThis.fetch = fetch
    }
    return new Response(null, { status: 204 })
  }

  return {
    async fetch(request, env, context) {
      const { pathname } = new URL(request.url)
      if (pathname === '/cookies') {
        many = await request.json()
        return new Response(null, { status: 204 })
      }
      if (pathname === '/repeat') return repeat(request, env, context)
      if (pathname.startsWith('/by-hand/')) return sendByHand(request, env)
      if (pathname.startsWith('/plain/')) return plainProxy(env)(request)
      return app.fetch(request, env, context)
    },
  }
}
