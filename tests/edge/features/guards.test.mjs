// A site behind nginx and Caddy, with the files of docs/oauth2-proxy.md. The proxies ask the handler about each request.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import { createConnection } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { SECRET, startGuardedSite } from '../../support/edge/guarded.mjs'
import { ORIGIN } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 60_000 }
const HOST = new URL(ORIGIN).host
const FORGED = {
  authorization: 'Bearer forged',
  'x-user': 'admin',
  x_user: 'admin',
  'x-user-email': 'admin@example.com',
  'x-strongroom-check': 'forged',
  'x-forwarded-method': 'GET',
  'x-forwarded-uri': '/public',
  'x-forwarded-host': 'evil.test',
  'x-forwarded-proto': 'http',
  'x-forwarded-for': '192.0.2.1',
  forwarded: 'host=evil.test',
}

const WINDOW = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: 'text/html' }
const OPENED = { ...WINDOW, 'sec-fetch-site': 'cross-site' }
const OWN_PICTURE = {
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'no-cors',
  'sec-fetch-dest': 'image',
}

/** The site, whose responses could be stored for a minute. */
const site = {
  handler(request, response) {
    response.setHeader('cache-control', 'max-age=60')
    if (request.url === '/accel') response.setHeader('x-accel-redirect', '/.strongroom-check')
    if (request.url === '/moved') response.writeHead(302, { location: '/reports/3?a=%2F&b=1' })
    if (request.url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      return response.write('data: 1\n\n')
    }
    response.end('the site')
  },
  // Sends back each byte.
  upgrade(request, socket) {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    socket.pipe(socket)
  },
  origin: ORIGIN,
}

// Caddy is not among the programs that the usual tests install: CONTRIBUTING.md says how to run its tests.
for (const name of process.env.CADDY_PATH ? ['nginx', 'Caddy'] : ['nginx']) {
  describe(`behind ${name}`, { timeout: 120_000 }, () => {
    let parts, place, alice, stranger
    before(async () => {
      parts = await startGuardedSite(name, site)
      place = { origin: ORIGIN, urls: [parts.url] }
      ;[alice, stranger] = [new Visitor(place), new Visitor(place)]
      await alice.signIn()
    }, time)
    after(() => parts?.close())
    /** Sends a request, and resolves with its response and the request that the site got. */
    const send = async (visitor, path, options) => {
      parts.seen.length = 0
      const response = await visitor.send(path, options)
      assert.ok(parts.seen.length < 2)
      return { status: response.status, response, got: parts.seen[0] }
    }

    test('the site gets the token, its own cookies and the user', time, async () => {
      alice.cookies.set('theme', 'dark')
      const { status, got } = await send(alice, '/reports/1?a=%2F', { headers: OPENED })
      assert.equal(status, 200)
      assert.equal(got.url, '/reports/1?a=%2F')
      assert.match(got.headers.authorization[0], /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/)
      assert.deepEqual(got.headers.cookie, ['theme=dark'])
      assert.deepEqual(got.headers['x-user'], ['alice'])
      assert.equal(got.headers['x-user-email'], undefined, 'the ID token has no email')
    })

    // claim: handler-75
    test('headers that the client forges do not reach the site or the check', time, async () => {
      for (const path of ['/', '/own/']) {
        const { status, got } = await send(alice, path, { headers: { ...OPENED, ...FORGED } })
        assert.equal(status, 200)
        assert.notDeepEqual(got.headers.authorization, ['Bearer forged'])
        assert.deepEqual(got.headers['x-user'], ['alice'])
        assert.equal(got.headers['x-user-email'], undefined)
        assert.equal(got.headers.x_user, undefined)
        assert.equal(got.headers.forwarded, undefined)
        for (const values of Object.values(got.headers)) assert.doesNotMatch(`${values}`, /evil|192\.0\.2\.1/)
      }
      const refused = await send(stranger, '/', { headers: { ...OWN_PICTURE, ...FORGED } })
      assert.equal(refused.status, 401)
      assert.equal(refused.got, undefined)
    })

    // claim: handler-75
    test('a location without a check has no user', { ...time, skip: name !== 'nginx' }, async () => {
      const { status, got } = await send(alice, '/open/', { headers: { ...OPENED, ...FORGED } })
      assert.equal(status, 200)
      for (const header of ['authorization', 'cookie', 'x-user', 'x-user-email'])
        assert.equal(got.headers[header], undefined, header)
    })

    test(
      'a page without access, and a link to sign out, lead to a form',
      { ...time, skip: name !== 'nginx' },
      async () => {
        const picture = { headers: { ...OWN_PICTURE, 'sec-fetch-site': 'cross-site' } }
        for (const [path, options, expected, says] of [
          ['/', picture, 403, /This account may not enter here/],
          ['/oauth2/sign_out', { headers: OPENED }, 200, /<title>Sign out</],
        ]) {
          const { status, response, got } = await send(alice, path, options)
          assert.equal(status, expected)
          assert.equal(got, undefined)
          const text = await response.text()
          assert.match(text, says)
          assert.match(text, /<form method="post" action="\/auth\/logout">/)
        }
      },
    )

    test('a page that a stranger opens leads to the login, and anything else to 401', time, async () => {
      const { status, response, got } = await send(stranger, '/reports/1', { headers: OPENED })
      assert.equal(status, 303)
      assert.equal(got, undefined)
      const login = new URL(response.headers.get('location'))
      assert.equal(login.origin + login.pathname, `${ORIGIN}/auth/login`)
      assert.equal(login.searchParams.get('returnTo'), '/reports/1')
      for (const headers of [
        OWN_PICTURE,
        { ...OPENED, 'sec-purpose': 'prefetch', 'sec-fetch-site': 'same-origin' },
      ]) {
        const refused = await send(stranger, '/logo.png', { headers })
        assert.equal(refused.status, 401)
        assert.equal(refused.response.headers.get('cache-control'), 'no-store')
        assert.equal(refused.got, undefined)
      }
    })

    test('a long query passes', time, async () => {
      const path = `/search?q=${'a'.repeat(9000)}`
      const { status, got } = await send(alice, path, { headers: OPENED })
      assert.equal(status, 200)
      assert.equal(got.url, path)
    })

    test('a login returns to the page', time, async () => {
      const bob = new Visitor(place)
      const { address, response } = await bob.authorize('/reports/2?a=%2F&b=1', { account: 'bob' })
      assert.equal(address.href, `${ORIGIN}/reports/2?a=%2F&b=1`)
      assert.equal(await response.text(), 'the site')
    })

    test('a redirect of the site keeps its query', time, async () => {
      const { status, response } = await send(alice, '/moved', { headers: OPENED })
      assert.equal(status, 302)
      assert.equal(response.headers.get('location'), '/reports/3?a=%2F&b=1')
    })

    test('an event arrives before the stream ends', time, async () => {
      const headers = {
        ...OWN_PICTURE,
        'sec-fetch-mode': 'cors',
        'sec-fetch-dest': 'empty',
        cookie: cookie(),
      }
      const request = get(new URL('/events', parts.url), { headers, agent: false })
      const [response] = await once(request, 'response')
      assert.equal(response.statusCode, 200)
      const [event] = await once(response, 'data')
      assert.equal(`${event}`, 'data: 1\n\n')
      request.destroy()
    })

    test('a form without a session gets a page with a link', time, async () => {
      const headers = { ...WINDOW, 'sec-fetch-site': 'same-origin', origin: ORIGIN }
      const { status, response, got } = await send(stranger, '/form', {
        method: 'POST',
        body: 'a=1',
        headers,
      })
      assert.equal(status, 401)
      assert.equal(got, undefined)
      assert.match(response.headers.get('content-type'), /^text\/html/)
      assert.equal(response.headers.get('cache-control'), 'no-store')
      const [, link] = /<a href="([^"]+)"/.exec(await response.text())
      const bob = new Visitor(place)
      const { address } = await bob.authorize(link, { account: 'bob' })
      assert.equal(address.href, `${ORIGIN}/`)
    })

    // claim: handler-75
    test('another site reaches no resource and changes nothing', time, async () => {
      for (const [path, options] of [
        ['/logo.png', { headers: { ...OWN_PICTURE, 'sec-fetch-site': 'cross-site' } }],
        ['/', { headers: { ...OPENED, 'sec-fetch-dest': 'iframe' } }],
        ['/form', { method: 'POST', body: 'a=1', headers: { ...OPENED, origin: 'https://evil.test' } }],
        ['/form', { method: 'DELETE', headers: { 'sec-fetch-site': 'cross-site', origin: 'null' } }],
        ['/logo.png', { headers: {} }],
      ]) {
        const { status, got } = await send(alice, path, options)
        assert.equal(status, 403, `${options.method ?? 'GET'} ${path}`)
        assert.equal(got, undefined)
      }
    })

    test('no byte of a body reaches the handler', time, async () => {
      const body = 'b'.repeat(100_000)
      const headers = { ...OWN_PICTURE, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: ORIGIN }
      const { status, got } = await send(alice, '/form', { method: 'POST', body, headers })
      assert.equal(status, 200)
      assert.equal(got.body, body)
      assert.deepEqual(parts.bodies, [])
    })

    test('a large upload arrives where the limit is raised', time, async () => {
      const body = 'b'.repeat(2_000_000)
      const headers = { ...OWN_PICTURE, 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: ORIGIN }
      const { status, got } = await send(alice, '/own/', { method: 'POST', body, headers })
      assert.equal(status, 200)
      assert.equal(got.body.length, body.length)
      const foreign = { ...headers, 'sec-fetch-site': 'cross-site' }
      for (const [visitor, expected, sender] of [
        [stranger, 401, headers],
        [alice, 403, foreign],
      ]) {
        const refused = await send(visitor, '/own/', { method: 'POST', body, headers: sender })
        assert.equal(refused.status, expected)
        assert.equal(refused.got, undefined)
      }
    })

    test('a path that servers read in several ways is refused', time, async () => {
      for (const path of ['/public/..%2fadmin', '/a/..;/admin', '/%5cadmin']) {
        const { status, got } = await send(alice, path, { headers: OPENED })
        assert.equal(got, undefined, path)
        assert.ok(status === 403 || status === 400, `${path}: ${status}`)
      }
    })

    test("doubled headers do not count as the site's own", time, async () => {
      const doubled = { ...OWN_PICTURE, 'sec-fetch-site': ['same-origin', 'cross-site'] }
      assert.equal((await send(alice, '/logo.png', { headers: doubled })).status, 403)
      const origins = { 'sec-fetch-site': 'same-origin', origin: [ORIGIN, 'https://evil.test'] }
      assert.equal((await send(alice, '/form', { method: 'POST', headers: origins })).status, 403)
    })

    test('the public port never responds to a check', time, async () => {
      for (const path of ['/.strongroom-check', '/auth/site', '/auth/site/nginx', '/site', '/site/nginx']) {
        for (const headers of [OPENED, FORGED, { ...FORGED, 'x-strongroom-check': SECRET }]) {
          const { response } = await send(alice, path, { headers })
          assert.equal(response.headers.get('authorization'), null, path)
          assert.equal(response.headers.get('x-user'), null, path)
        }
      }
    })

    test('a site cannot show the answer of a check to its page', time, async () => {
      const { response } = await send(alice, '/accel', { headers: OPENED })
      for (const name of ['authorization', 'cookie']) assert.equal(response.headers.get(name), null)
    })

    // claim: handler-75
    test('the port for checks responds only to checks', time, async () => {
      const check = {
        ...OPENED,
        'x-forwarded-method': 'GET',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': HOST,
      }
      for (const path of ['/', '/?site', '/auth/login', '/site']) {
        for (const uri of ['/auth/login', '/auth/config', '/']) {
          const headers = {
            ...check,
            'x-forwarded-uri': uri,
            ...(path !== '/site' && { 'x-strongroom-check': SECRET }),
          }
          const response = await alice.send(parts.check + path, { headers })
          assert.equal(response.status, 403, `${path} ${uri}`)
          assert.deepEqual(response.headers.getSetCookie(), [])
        }
      }
    })

    test('only WebSockets change the protocol', time, async () => {
      for (const upgrade of ['h2c', 'h2c\r\nUpgrade: websocket', 'websocket, h2c']) {
        const line = await connect({ Origin: ORIGIN, Upgrade: upgrade, 'Sec-Fetch-Site': 'same-origin' })
        assert.match(line, / 200 /, upgrade)
        assert.equal(parts.seen[0].headers.upgrade, undefined)
      }
    })

    test('a client cannot remove what the site gets about the user', time, async () => {
      const headers = { ...OPENED, connection: 'close, X-User, Authorization', 'x-user': 'admin' }
      const { got } = await send(alice, '/', { headers })
      assert.deepEqual(got.headers['x-user'], ['alice'])
      assert.match(got.headers.authorization[0], /^Bearer /)
    })

    const cookie = () => [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    /** Opens a WebSocket, and resolves with it and the first line of the response. */
    const openSocket = async (headers) => {
      parts.seen.length = 0
      const socket = createConnection(new URL(place.urls[0]).port, '127.0.0.1')
      const fields = {
        Host: HOST,
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        Cookie: cookie(),
        ...headers,
      }
      const lines = Object.entries(fields).map(([field, value]) => `${field}: ${value}\r\n`)
      socket.write(`GET /socket HTTP/1.1\r\n${lines.join('')}\r\n`)
      const [first] = await once(socket, 'data')
      return { socket, line: `${first}`.split('\r\n')[0] }
    }
    const connect = async (headers) => {
      const { socket, line } = await openSocket(headers)
      socket.destroy()
      return line
    }

    test('a socket carries bytes in both directions', time, async () => {
      const { socket, line } = await openSocket({ Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' })
      assert.match(line, / 101 /)
      socket.write('ping')
      const [echo] = await once(socket, 'data')
      assert.equal(`${echo}`, 'ping')
      socket.destroy()
    })

    test("a socket needs the site's own origin", time, async () => {
      assert.match(await connect({ Origin: ORIGIN, 'Sec-Fetch-Site': 'same-origin' }), / 101 /)
      assert.match(parts.seen[0].headers.authorization[0], /^Bearer /)
      for (const origin of ['https://evil.test', 'null']) {
        assert.match(await connect({ Origin: origin }), / 403 /)
        assert.equal(parts.seen.length, 0)
      }
      assert.match(await connect({}), / 403 /)
    })

    test('an outage of the store is 503 with Retry-After', time, async () => {
      parts.store.isDown = true
      let response
      // The access token remains in use until it expires.
      await until(async () => {
        response = await alice.send('/', { headers: OPENED })
        return response.status !== 200
      })
      parts.store.isDown = false
      assert.equal(response.status, 503)
      assert.ok(Number(response.headers.get('retry-after')) > 0)
      await until(async () => (await alice.send('/', { headers: OPENED })).status === 200)
    })

    // claim: handler-75
    test('responses are never stored', time, async () => {
      for (const visitor of [alice, stranger, alice]) {
        const { got } = await send(visitor, '/same', { headers: OWN_PICTURE })
        assert.equal(!!got, visitor === alice)
      }
    })
  })
}
