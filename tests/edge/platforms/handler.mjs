import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { startApp } from '../../support/edge/app.mjs'
import { search } from '../../support/leak.mjs'

/**
 * Tests the token handler on a platform with a real provider and two isolates, which share a coordinator.
 *
 * @param {keyof typeof import('../../support/edge/platforms.mjs').PLATFORMS} platform
 * @param {string} coordinator
 */
export function handlerSuite(platform, coordinator) {
  describe(
    `${platform}: the token handler, with ${coordinator}`,
    { concurrency: 1, timeout: 120_000 },
    () => {
      let app
      /** The first bytes of the response to an incomplete logout token. The other tests run meanwhile. */
      let late
      before(async () => {
        app = await startApp(platform, { coordinator, isolates: 2 })
        late = sendPart(app.urls[0])
        late.catch(() => {})
      })
      after(() => app?.stop())

      const home = ({ origin, pathname }) => origin === app.origin && pathname === '/orders'
      const signedIn = async (accessTokenSeconds = 300) => {
        app.provider.settings.accessTokenSeconds = accessTokenSeconds
        const visitor = app.visitor()
        const { address } = await visitor.signIn({ returnTo: '/orders?a=1', until: home })
        assert.equal(address.href, `${app.origin}/orders?a=1`, JSON.stringify(await app.told()))
        return visitor
      }
      const refreshes = () => app.provider.ledger.refreshes().length

      test('login gives the page its session', async () => {
        const visitor = await signedIn()
        const { session } = await visitor.session()
        assert.equal(session.claims.sub, 'alice')
        assert.equal(session.claims.name, 'Alice Liddell')
        assert.deepEqual(session.scopes, ['openid', 'profile', 'offline_access', 'orders'])
      })

      // claim: handler-1
      test('session cookie is host-only and HttpOnly', async () => {
        const visitor = app.visitor()
        const { response } = await visitor.signIn({ returnTo: '/orders', until: home })
        const [cookie] = response.headers.getSetCookie().filter((set) => set.startsWith('__Host-strongroom='))
        assert.match(
          cookie,
          /^__Host-strongroom=1\.[\w-]{8}\.[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=\d+$/,
        )
        assert.equal(response.headers.get('cache-control'), 'no-store')
      })

      test('calls get the access token instead of the cookie', async () => {
        const visitor = await signedIn()
        for (const isolate of [0, 1]) {
          const response = await visitor.call('/api/me', { isolate })
          assert.equal(response.status, 200)
          assert.equal((await response.json()).sub, 'alice')
          const { headers } = app.api.requests.at(-1)
          assert.match(headers.authorization, /^Bearer eyJ/)
          assert.equal(headers.cookie, undefined)
          assert.equal(headers['x-strongroom'], undefined)
        }
      })

      test('request body is forwarded', async () => {
        const visitor = await signedIn()
        const body = JSON.stringify({ item: 'lantern', quantity: 2 })
        const headers = { 'content-type': 'application/json' }
        const response = await visitor.call('/api/orders', { method: 'POST', body, headers })
        assert.equal(response.status, 201)
        assert.equal((await response.json()).item, 'lantern')
      })

      test('without a session, scripts get 401 and navigations the login', async () => {
        const visitor = app.visitor()
        const response = await visitor.call('/api/me')
        assert.equal(response.status, 401)
        assert.equal((await response.json()).error.code, 'login_required')
        const { address } = await visitor.go('/api/me', {
          until: ({ pathname }) => pathname === '/auth/login',
        })
        assert.equal(address.href, `${app.origin}/auth/login?returnTo=%2F`)
      })

      // claim: handler-6
      test('refuses requests without the header or from another origin', async () => {
        const visitor = await signedIn()
        for (const headers of [
          { 'x-strongroom': '' },
          { origin: 'https://evil.test' },
          { 'sec-fetch-site': 'same-site' },
          { 'sec-fetch-site': 'cross-site' },
        ]) {
          const response = await visitor.call('/api/me', { headers })
          assert.equal(response.status, 403, JSON.stringify(headers))
          assert.equal((await response.json()).error.code, 'cross_site_request')
        }
      })

      // claim: handler-46
      test('50 requests in both isolates share one refresh', async () => {
        const visitor = await signedIn(3)
        await app.provider.letAccessTokenExpire()
        const before = refreshes()
        const calls = Array.from({ length: 50 }, (_none, i) =>
          visitor.copy().call('/api/me', { isolate: i % 2 }),
        )
        const statuses = (await Promise.all(calls)).map(({ status }) => status)
        assert.deepEqual(statuses, Array(50).fill(200), JSON.stringify(await app.told()))
        assert.equal(refreshes() - before, 1)
      })

      // claim: handler-20
      test('logout invalidates copied cookies and revokes the refresh token', async () => {
        const visitor = await signedIn()
        const [thief, other] = [visitor.copy(), visitor.copy()]
        const response = await visitor.call('/auth/logout', { method: 'POST' })
        assert.equal(response.status, 200)
        assert.deepEqual(await response.json(), { url: '/auth/logout/provider', ended: true, revoked: true })
        assert.deepEqual(await visitor.session(), { session: null })
        assert.equal((await thief.call('/api/me')).status, 401)
        // For a moment, an isolate with a slow coordinator may still go by the cookie.
        let ended
        do ended = await other.session({ isolate: 1 })
        while (ended.session)
        assert.equal(ended.reason, 'logged_out')
      })

      // claim: handler-1
      test('no response contains a token', async () => {
        const visitor = await signedIn()
        const responses = [
          await visitor.call('/auth/session'),
          await visitor.call('/api/me'),
          await visitor.call('/auth/logout', { method: 'POST' }),
        ]
        const texts = []
        for (const response of responses) {
          texts.push(`${[...response.headers].join('\n')}\n${await response.text()}`)
        }
        const secrets = app.provider.ledger.secrets()
        for (const kind of ['access_token', 'refresh_token', 'id_token', 'authorization_code']) {
          assert.ok(
            secrets.some((secret) => secret.kind === kind),
            `no ${kind} was issued`,
          )
        }
        assert.deepEqual(search({ responses: texts }, secrets), [])
        // Control: the API received a token, and the search finds that token.
        const sent = app.api.requests.at(-1).headers.authorization
        const [{ kind } = {}] = search({ sent: [`${texts[0]} ${sent}`] }, secrets)
        assert.equal(kind, 'access_token')
      })

      test('only Bearer and DPoP challenges are forwarded', async () => {
        const visitor = await signedIn()
        let challenges
        app.api.on('challenge', ({ response }) => {
          response.writeHead(403, { 'WWW-Authenticate': challenges }).end()
        })
        for (const [sent, expected] of [
          [['Bearer realm="a, Basic b"'], 'Bearer realm="a, Basic b"'],
          [['Bearer', 'DPoP algs="ES256"'], 'Bearer, DPoP algs="ES256"'],
          [['Bearer', 'Basic realm="x"'], null],
        ]) {
          challenges = sent
          const response = await visitor.call('/api/on/challenge')
          assert.equal(response.headers.get('www-authenticate'), expected)
        }
      })

      test('responses are not stored, and not transformed if the API or an event stream forbids it', async () => {
        const visitor = await signedIn()
        let headers
        app.api.on('kept', ({ response }) => void response.writeHead(200, headers).end('data: 1\n\n'))
        for (const [type, given, expected] of [
          ['text/plain', 'public, max-age=60', 'no-store'],
          ['text/plain', 'x-no-transform=1', 'no-store'],
          ['text/plain', 'no-cache,No-Transform', 'no-store, no-transform'],
          ['text/event-stream', 'no-cache', 'no-store, no-transform'],
          ['Text/Event-Stream; charset=utf-8', 'max-age=1', 'no-store, no-transform'],
        ]) {
          headers = { 'Content-Type': type, 'Cache-Control': given }
          const response = await visitor.call('/api/on/kept')
          assert.equal(response.headers.get('cache-control'), expected, `${type} ${given}`)
          await response.text()
        }
      })

      // claim: handler-37
      test('back-channel logout body has a time limit', async () => {
        assert.match(await late, /^HTTP\/1\.1 400 /)
      })
    },
  )
}

/** Sends a part of a back-channel logout. Resolves with the first bytes of the response. */
async function sendPart(url) {
  const { hostname, port } = new URL(url)
  const socket = connect(port, hostname)
  const type = 'Content-Type: application/x-www-form-urlencoded'
  const head = `POST /auth/backchannel-logout HTTP/1.1\r\nHost: ${hostname}\r\n${type}\r\nContent-Length: 100`
  socket.write(`${head}\r\n\r\nlogout_token=`)
  const [piece] = await once(socket, 'data', { signal: AbortSignal.timeout(15_000) })
  socket.destroy()
  return String(piece)
}
