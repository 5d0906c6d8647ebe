// The test double's own rules: virtual time, logins, faults, and what it refuses. tests/browser/contract.test.mjs
// compares it with a vault in a browser.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { afterEach, test } from 'node:test'
import { StrongroomError } from '../../pkg/dist/index.js'
import { testWorld } from '../../pkg/dist/testing.js'

const time = { timeout: 20_000 }
const API = 'https://api.example.com/v1/'
const CONFIG = {
  issuer: 'https://id.example.com/tenant/',
  clientId: 'an app',
  redirectUri: '/signed-in',
  scope: 'openid profile email offline_access',
  apis: [{ url: API, methods: ['GET', 'POST'] }],
}

let world
const open = async (options, changes) =>
  (world = await testWorld({ ...CONFIG, ...changes }, { api: () => Response.json({ ok: true }), ...options }))
afterEach(() => world?.close())

/** Asserts that a promise rejects with a `StrongroomError` with this code and a message like this. */
const refuses = (promise, code, message = /./) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof StrongroomError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    assert.doesNotMatch(error.message, /\.\./)
    return true
  })

test('idle limit ends the session in virtual time', time, async () => {
  await open()
  world.signIn({ name: 'Alice', email: 'alice@example.com' })
  assert.deepEqual(world.auth.state.session.claims, {
    sub: 'alice',
    name: 'Alice',
    email: 'alice@example.com',
  })
  const before = world.now
  await world.advance('29m 59s')
  assert.equal(world.now - before, (29 * 60 + 59) * 1000)
  assert.ok(world.auth.state.expiring)
  assert.ok(world.auth.state.session)
  await world.advance(1000)
  assert.equal(world.auth.state.endReason, 'idle')
})

test('default user of a login has a name', time, async () => {
  await open({ redirects: 'follow' })
  await world.auth.login({ mode: 'popup' })
  assert.deepEqual(world.auth.state.session.claims, { sub: 'alice', name: 'Alice' })
  world.setUser({ sub: '7' })
  world.signOut()
  await world.auth.login({ mode: 'popup' })
  assert.deepEqual(world.auth.state.session.claims, { sub: '7' })
})

test('sign-out in another tab ends the session', time, async () => {
  await open({}, { session: { persist: 'sealed' } })
  world.signIn()
  const reasons = []
  world.auth.subscribe(({ endReason }) => reasons.push(endReason))
  world.signOut()
  const { session, endReason } = world.auth.state
  assert.deepEqual({ session, endReason }, { session: null, endReason: 'logged_out' })
  assert.deepEqual(reasons, [null, 'logged_out'])
  await refuses(world.auth.fetch(`${API}orders`), 'login_required')
  // A guard must not sign a user in again who has just signed out.
  await world.reload()
  assert.equal(await world.auth.requireSession(), null)
  world.crash()
  await world.settle()
  assert.equal(world.auth.state.session, null)
  assert.deepEqual(world.navigations, [])
  world.signIn({ name: 'Bob' })
  assert.equal(world.auth.state.session.claims.sub, 'bob')
})

test('sign-out needs neither session nor provider', time, async () => {
  await open()
  world.signOut()
  assert.equal(world.auth.state.endReason, null)
  world.signIn()
  world.provider.down()
  world.signOut()
  assert.equal(world.auth.state.endReason, 'logged_out')
  await world.advance('1h')
  world.provider.up()
  world.signIn()
  world.offline()
  world.signOut()
  assert.equal(world.auth.state.session, null)
})

test('page that was left has no timers', time, async (context) => {
  const warn = context.mock.method(console, 'warn', () => {})
  const said = () => warn.mock.calls.map(({ arguments: [text] }) => text)
  await open({}, { deviceFlow: true })
  let isSettled = false
  const settled = () => (isSettled = true)
  const guard = () => void world.auth.requireSession().then(settled, settled)
  guard()
  await world.settle()
  await world.advance('31m')
  assert.deepEqual([world.navigations.length, isSettled, said()], [1, false, []])
  await world.reload()
  guard()
  await world.settle()
  await world.followRedirect()
  await world.advance('31m')
  assert.deepEqual([world.navigations.length, isSettled, said()], [2, false, []])
  assert.equal(world.auth.state.endReason, 'idle')
  // Control: a page that is open notices the time limit.
  const login = refuses(world.auth.login({ mode: 'device', onCode() {}, timeout: 60 }), 'timeout')
  await world.advance('1m')
  await login
})

test('activity extends the session', time, async () => {
  await open()
  world.signIn()
  await world.advance('20m')
  world.touch()
  await world.advance('20m')
  assert.ok(world.auth.state.session)
})

test('call after the warning extends the session', time, async () => {
  await open()
  world.signIn()
  const stop = world.auth.subscribe(({ expiring }) => expiring && world.auth.fetch(`${API}orders`))
  await world.advance('31m')
  assert.ok(world.auth.state.session)
  stop()
  await world.advance('31m')
  assert.equal(world.auth.state.endReason, 'idle')
})

test('configured limit is the one that counts', time, async () => {
  await open({}, { session: { idle: 60, absolute: 90, persist: 'sealed' } })
  world.signIn()
  for (let i = 0; i < 4; i++) {
    world.touch()
    await world.advance('25s')
  }
  assert.equal(world.auth.state.endReason, 'absolute')
})

test('API gets request, body and a token', time, async () => {
  const api = async (request) => {
    assert.match(request.headers.get('authorization'), /^Bearer access-token-/)
    return Response.json({ path: request.url.slice(API.length), body: await request.json() }, { status: 201 })
  }
  await open({ api })
  world.signIn()
  const body = JSON.stringify({ a: 1 })
  const response = await world.auth.fetch(`${API}orders?b`, { method: 'POST', body, headers: { 'X-A': 'b' } })
  assert.deepEqual(await response.json(), { path: 'orders?b', body: { a: 1 } })
  const [{ headers, ...call }] = world.calls
  assert.equal(headers['x-a'], 'b')
  assert.equal(headers.authorization, undefined)
  assert.deepEqual(call, { method: 'POST', url: `${API}orders?b`, status: 201 })
})

test('slow API responds when it is ready', time, async () => {
  let respond
  await open({ api: () => new Promise((resolve) => (respond = resolve)) })
  world.signIn()
  const call = world.auth.fetch(`${API}orders`)
  await world.settle()
  await world.advance('5s')
  respond(new Response('late'))
  assert.equal(await (await call).text(), 'late')
})

test('event source gets a streamed response', time, async () => {
  const body = () =>
    new ReadableStream({
      start(controller) {
        for (const text of ['one', 'two']) controller.enqueue(new TextEncoder().encode(`data: ${text}\n\n`))
      },
    })
  await open({ api: () => new Response(body(), { headers: { 'Content-Type': 'text/event-stream' } }) })
  world.signIn()
  const events = []
  const source = world.auth.eventSource(`${API}events`)
  source.onmessage = ({ data }) => events.push(data)
  await world.settle()
  assert.deepEqual(events, ['one', 'two'])
  source.close()
})

test('without api nothing responds', time, async () => {
  await open({ api: undefined })
  world.signIn()
  await refuses(world.auth.fetch(`${API}orders`), 'unsupported', /no `api`.*GET https:\/\/api/)
  await refuses(world.auth.fetch('https://other.example/'), 'url_not_allowed')
})

test('login by redirect leaves the page', time, async () => {
  await open()
  let isSettled = false
  world.auth.login({ returnTo: '/orders' }).finally(() => (isSettled = true))
  await world.advance('1m')
  assert.equal(isSettled, false)
  const [request] = world.navigations
  assert.match(request, /^https:\/\/id\.example\.com\/tenant\/authorize\?/)
  assert.equal(world.auth.state.session, null)

  const states = []
  world.auth.subscribe(({ status }) => states.push(status))
  world.setUser({ name: 'Bob' })
  await world.followRedirect()
  assert.equal(world.auth.state.session.claims.sub, 'bob')
  assert.deepEqual([...new Set(states)], ['connected', 'connecting'])
})

test('guard follows redirects if told so', time, async () => {
  const returned = []
  await open({
    redirects: 'follow',
    onReturn: (path) => returned.push(path),
    url: 'https://app.example.com/a?b',
  })
  world.auth.requireSession()
  await world.settle()
  assert.equal(world.auth.state.session.claims.sub, 'alice')
  assert.deepEqual(returned, ['/a?b'])
})

test('popup login resolves with the session', time, async () => {
  await open()
  const session = await world.auth.login({ mode: 'popup' })
  assert.equal(session.claims.sub, 'alice')
  assert.deepEqual(world.navigations, [])
})

test('denied login rejects, and the next one succeeds', time, async () => {
  await open()
  world.provider.deny()
  await refuses(world.auth.login({ mode: 'popup' }), 'login_denied')
  assert.ok(await world.auth.login({ mode: 'popup' }))

  await world.auth.logout()
  world.provider.deny()
  world.auth.login()
  await world.settle()
  await world.followRedirect()
  assert.equal(world.auth.state.error.code, 'login_denied')
})

test('revoked session ends with the next call', time, async () => {
  await open()
  world.signIn()
  world.provider.revoke()
  await refuses(world.auth.fetch(`${API}orders`), 'session_ended')
  assert.equal(world.auth.state.endReason, 'provider_ended')
})

test('session survives an outage of the provider', time, async () => {
  await open({ accessTokenLifetime: 60 })
  world.signIn()
  world.provider.down()
  await world.advance('2m')
  const call = assert.rejects(world.auth.fetch(`${API}orders`), { code: 'provider_unavailable' })
  await world.advance('1m')
  await call
  world.provider.up()
  await world.advance('2m')
  assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
  assert.ok(world.refreshes >= 2)
})

test('network and provider fail independently', time, async () => {
  await open({ accessTokenLifetime: 60 })
  const isUp = async () => {
    await world.advance('1m')
    const call = world.auth.fetch(`${API}orders`).then(
      ({ ok }) => ok,
      ({ code }) => assert.equal(code, 'provider_unavailable'),
    )
    await world.advance('1m')
    return !!(await call)
  }
  world.signIn()
  assert.equal(await isUp(), true)
  world.provider.down()
  world.offline()
  world.online()
  assert.equal(await isUp(), false)
  world.offline()
  world.provider.up()
  assert.equal(await isUp(), false)
  world.online()
  assert.equal(await isUp(), true)
})

test('calls fail offline and succeed online', time, async () => {
  await open()
  world.signIn()
  world.offline()
  await assert.rejects(world.auth.fetch(`${API}orders`), TypeError)
  world.online()
  assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
})

test('crash ends the session, and the page reconnects', time, async () => {
  await open()
  world.signIn()
  world.crash()
  await world.settle()
  const { status, session } = world.auth.state
  assert.deepEqual({ status, session }, { status: 'connected', session: null })
  world.signIn({ name: 'Bob' })
  assert.equal(world.auth.state.session.claims.sub, 'bob')
})

test('session survives a reload', time, async () => {
  await open()
  world.signIn()
  await world.reload()
  assert.equal(world.auth.state.session.claims.sub, 'alice')
})

test('two worlds are independent', time, async () => {
  await open()
  const other = await testWorld(CONFIG)
  world.signIn()
  await other.settle()
  assert.equal(other.auth.state.session, null)
  other.close()
})

test('API with a resource gets its own token', time, async () => {
  const tokens = []
  const api = (request) => {
    tokens.push(request.headers.get('authorization'))
    return new Response('')
  }
  const apis = [
    { url: API, resource: 'https://api.example.com' },
    { url: '/own/', audience: 'own' },
  ]
  await open({ api }, { apis, metadata: { revocation_endpoint: 'https://id.example.com/revoke' } })
  world.signIn()
  await world.auth.fetch(`${API}orders`)
  await world.auth.fetch('/own/orders')
  assert.equal(new Set(tokens).size, 2)
})

test('pinned metadata of the app’s own provider is not used', time, async (t) => {
  const warn = t.mock.method(console, 'warn', () => {})
  const endpoint = 'https://id.example.com/elsewhere'
  const pinned = { at: '2026-01-31', issuer: CONFIG.issuer, authorization_endpoint: endpoint }
  await open({ redirects: 'follow' }, { pinned: { ...pinned, token_endpoint: endpoint, jwks_uri: endpoint } })
  await world.auth.login({ mode: 'popup' })
  assert.equal(world.auth.state.session.claims.sub, 'alice')
  assert.deepEqual(warn.mock.calls, [])
})

/** Opens a world with a rule that has this `webSocket` option. */
const openForSockets = (webSocket, socket) =>
  open({ socket, accessTokenLifetime: 3600 }, { apis: [{ url: API, webSocket }] })
const PROTOCOL = { token: 'protocol', prefix: 'bearer.' }
const LIVE = 'wss://api.example.com/v1/live'

/** Listens to a socket of the page. Returns the socket, and a list to which its events are added. */
const listen = (socket, events = []) => {
  for (const type of ['open', 'message', 'error', 'close']) {
    socket.addEventListener(type, ({ data, code, reason, error }) =>
      events.push(
        { open: 'open', message: data, error: error?.code ?? 'error', close: `${code} ${reason}` }[type],
      ),
    )
  }
  return { socket, events }
}

test('socket carries messages both ways', time, async () => {
  const seen = []
  await openForSockets(PROTOCOL, (server) => {
    seen.push(server.url, server.protocols)
    server.protocol = 'chat.v2'
    server.onmessage = (data) => server.send(`echo ${data}`)
    server.onclose = (code, reason) => seen.push(`${code} ${reason}`)
    server.send('welcome')
  })
  world.signIn()
  const { socket, events } = listen(world.auth.webSocket(LIVE, ['chat.v2', 'chat.v1']))
  await world.settle()
  assert.equal(socket.protocol, 'chat.v2')
  socket.send('one')
  await world.settle()
  socket.close(3001, 'done')
  await world.settle()
  assert.deepEqual(events, ['open', 'welcome', 'echo one', '3001 done'])
  const [url, [v2, v1, bearer], end] = seen
  assert.deepEqual([url, v2, v1, end], [LIVE, 'chat.v2', 'chat.v1', '3001 done'])
  assert.match(bearer, /^bearer\.access-token-/)
})

test('end of the session closes its sockets', time, async () => {
  const ends = []
  await openForSockets(PROTOCOL, (server) => (server.onclose = (code, reason) => ends.push([code, reason])))
  world.signIn()
  const { events } = listen(world.auth.webSocket(LIVE))
  await world.advance('31m')
  assert.deepEqual(events, ['open', '3000 idle'])
  assert.deepEqual(ends, [[3000, 'idle']])
})

test('socket sends its token first if configured', time, async () => {
  const messages = []
  await openForSockets({ token: 'message', message: '{"auth":"{token}"}' }, (server) => {
    assert.deepEqual(server.protocols, [])
    server.onmessage = (data) => messages.push(data)
  })
  world.signIn()
  const { socket } = listen(world.auth.webSocket(LIVE))
  socket.addEventListener('open', () => socket.send('hello'))
  await world.settle()
  assert.match(messages[0], /^{"auth":"access-token-.+"}$/)
  assert.equal(messages[1], 'hello')
})

test('socket with its token in a message is closed', time, async () => {
  let server
  await openForSockets({ token: 'query' }, (accepted) => (server = accepted))
  world.signIn()
  const { events } = listen(world.auth.webSocket(LIVE))
  await world.settle()
  server.send(new TextEncoder().encode(new URL(server.url).search).buffer)
  await world.settle()
  assert.deepEqual(events, ['open', '4010 token_reflected'])
})

test('token may contain any character of base64url', time, async () => {
  const tokens = []
  await openForSockets({ token: 'query' }, ({ url }) =>
    tokens.push(new URL(url).searchParams.get('access_token')),
  )
  while (!tokens.some((token) => token.includes('_'))) {
    world.signIn()
    const { events } = listen(world.auth.webSocket(LIVE))
    await world.settle()
    assert.deepEqual(events, ['open'])
  }
})

test('socket ends with its server, network or worker', time, async () => {
  const servers = []
  await openForSockets(PROTOCOL, (server) => servers.push(server))
  const ends = []
  const opened = async () => {
    if (!world.auth.state.session) world.signIn()
    const { events } = listen(world.auth.webSocket(LIVE))
    await world.settle()
    assert.deepEqual(events, ['open'])
    servers.at(-1).onclose = (code) => ends.push(code)
    return events
  }
  const byServer = await opened()
  servers.at(-1).close(4000, 'full')
  await world.settle()
  assert.deepEqual(byServer, ['open', '4000 full'])
  const byNetwork = await opened()
  world.offline()
  await world.settle()
  assert.deepEqual(byNetwork, ['open', 'error', '1006 '])
  world.online()
  const byCrash = await opened()
  world.crash()
  await world.settle()
  assert.deepEqual(byCrash, ['open', 'vault_crashed', '1006 '])
  assert.deepEqual(ends, [1006, 1006])
})

test('refused handshake fails', time, async () => {
  await openForSockets(PROTOCOL, () => {
    throw new TypeError('no')
  })
  world.signIn()
  const { events } = listen(world.auth.webSocket(LIVE))
  await world.settle()
  assert.deepEqual(events, ['error', '1006 '])
  const other = listen(world.auth.webSocket('wss://elsewhere.example/'))
  await world.settle()
  assert.deepEqual(other.events, ['url_not_allowed', '1006 '])
})

test('socket without a server fails as unsupported', time, async () => {
  await openForSockets(PROTOCOL)
  world.signIn()
  const { events } = listen(world.auth.webSocket(LIVE))
  await world.settle()
  assert.deepEqual(events, ['unsupported', '1006 '])
  world.signIn({ name: 'Bob' })
  assert.equal(world.auth.state.session.claims.sub, 'bob')
})

for (const persist of ['sealed', 'escrow']) {
  test(`session with persist '${persist}' survives a crash`, time, async () => {
    await open({ accessTokenLifetime: 60 }, { session: { persist } })
    world.signIn({ name: 'Alice' })
    await world.advance('2m')
    assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
    const before = world.auth.state.session
    world.crash()
    await world.settle()
    const { status, session, endReason } = world.auth.state
    assert.deepEqual({ status, endReason }, { status: 'connected', endReason: null })
    assert.equal(session.claims.sub, 'alice')
    assert.equal(session.startedAt, before.startedAt)
    // The provider revokes the session if a consumed refresh token is sent again. The next call shows that the new
    // worker sends the newest one.
    const { refreshes } = world
    await world.advance('2m')
    assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
    assert.ok(world.refreshes > refreshes)
  })
}

test('limits of a stored session count across crashes', time, async () => {
  await open({}, { session: { idle: 60, persist: 'sealed' } })
  world.signIn()
  await world.advance('40s')
  world.crash()
  await world.settle()
  assert.ok(world.auth.state.session)
  world.touch()
  await world.advance('40s')
  assert.ok(world.auth.state.session)
  await world.advance('25s')
  assert.equal(world.auth.state.endReason, 'idle')
  world.crash()
  await world.settle()
  assert.equal(world.auth.state.session, null)
})

test('crash restores no session that has ended', time, async () => {
  await open({}, { session: { persist: 'sealed' } })
  world.signIn()
  await world.auth.logout()
  world.crash()
  await world.settle()
  assert.equal(world.auth.state.session, null)
  assert.equal(world.auth.state.status, 'connected')
  world.signIn({ name: 'Alice' })
  world.signIn({ name: 'Bob' })
  world.crash()
  await world.reload()
  assert.equal(world.auth.state.session.claims.sub, 'bob')
  world.provider.revoke()
  await refuses(world.auth.fetch(`${API}orders`), 'session_ended')
  world.crash()
  await world.settle()
  assert.equal(world.auth.state.session, null)
})

test('custom login resolves with the session', time, async () => {
  for (const redirectUri of ['com.example.app:/callback', 'http://127.0.0.1/callback', '/callback']) {
    await open({}, { customLogin: true, redirectUri })
    world.setUser({ name: 'Bob' })
    const session = await world.auth.login({ mode: 'custom', open: world.authorize })
    assert.equal(session.claims.sub, 'bob', redirectUri)
    assert.deepEqual(world.navigations, [])
    assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
    world.signOut()
    world.signIn()
    assert.ok(world.auth.state.session)
    world.close()
  }
})

test('login without OpenID Connect names the user as configured', time, async () => {
  const identified = { sub: 'user_id', claims: ['email'] }
  const claims = { sub: 'bob', email: 'b@example.com' }
  for (const [identity, expected] of [
    ['none', {}],
    [{ from: 'token_response', ...identified }, claims],
    [{ url: 'https://people.example.com/me?fields=all', ...identified }, claims],
  ]) {
    await open({}, { scope: 'orders', identity })
    world.signIn({ name: 'Bob', email: 'b@example.com' })
    await world.settle()
    assert.deepEqual(world.auth.state.session.claims, expected)
    await world.advance('6m')
    assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
    assert.equal(world.refreshes, 1)
    assert.deepEqual(world.auth.state.session.claims, expected)
    world.close()
  }
})

test('UserInfo adds the claims that the configuration names', time, async () => {
  await open({}, { userInfo: true, claims: ['email'] })
  world.signIn({ name: 'Bob', email: 'b@example.com' })
  await world.settle()
  assert.deepEqual(world.auth.state.session.claims, { sub: 'bob', email: 'b@example.com' })
})

test('custom login with a port', time, async () => {
  await open({}, { customLogin: true, redirectUri: 'http://127.0.0.1/callback' })
  const login = (port, open = world.authorize) => world.auth.login({ mode: 'custom', port, open })
  await refuses(login(0), 'message_invalid', /port/)
  const session = await login(8400, (url) => {
    const response = world.authorize(url)
    assert.match(response, /^http:\/\/127\.0\.0\.1:8400\/callback\?/)
    return response
  })
  assert.equal(session.claims.sub, 'alice')
})

test('denied custom login rejects', time, async () => {
  await open({}, { customLogin: true, redirectUri: 'com.example.app:/callback' })
  world.provider.deny()
  await refuses(world.auth.login({ mode: 'custom', open: world.authorize }), 'login_denied')
  await refuses(world.auth.login(), 'unsupported', /mode: 'custom'/)
})

test('device login resolves after the code was entered', time, async () => {
  await open({}, { deviceFlow: true })
  let code
  const login = world.auth.login({ mode: 'device', onCode: (shown) => (code = shown) })
  await world.advance('1m')
  assert.equal(code.verificationUri, 'https://id.example.com/tenant/activate')
  assert.equal(world.auth.state.session, null)
  assert.throws(() => world.enterCode('another'), { code: 'unsupported', message: /no code 'another'/ })
  world.setUser({ name: 'Bob' })
  world.enterCode(code.userCode)
  assert.throws(() => world.enterCode(code.userCode), { code: 'unsupported' })
  await world.advance('5s')
  assert.equal((await login).claims.sub, 'bob')
  assert.deepEqual(world.navigations, [])
})

test('denied device login rejects', time, async () => {
  await open({}, { deviceFlow: true })
  let userCode
  const login = () =>
    world.auth.login({ mode: 'device', onCode: (code) => ({ userCode } = code), timeout: 900 })
  const denied = refuses(login(), 'login_denied')
  await world.settle()
  world.provider.deny()
  world.enterCode(userCode)
  await world.advance('5s')
  await denied

  const expired = refuses(login(), 'login_expired')
  await world.advance('11m')
  await expired
})

test('device login needs the option deviceFlow', time, async () => {
  await open()
  await refuses(world.auth.login({ mode: 'device', onCode() {} }), 'unsupported', /deviceFlow/)
})

/** Verifies a DPoP proof (RFC 9449 4.3) with WebCrypto, and returns its header and claims. */
const verifyProof = async (proof, damage = (bytes) => bytes) => {
  const [header, claims, signature] = proof.split('.')
  const decode = (part) => Buffer.from(part, 'base64url')
  const { typ, alg, jwk } = JSON.parse(decode(header))
  assert.deepEqual({ typ, alg }, { typ: 'dpop+jwt', alg: 'ES256' })
  assert.equal(jwk.d, undefined)
  const { subtle } = globalThis.crypto
  const key = await subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify'])
  const signed = damage(Buffer.from(`${header}.${claims}`))
  const isValid = await subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, decode(signature), signed)
  return { isValid, jwk, claims: JSON.parse(decode(claims)) }
}

test('API with DPoP gets proofs that WebCrypto verifies', time, async () => {
  const requests = []
  await open(
    { accessTokenLifetime: 60, api: (request) => (requests.push(request), Response.json({})) },
    { dpop: true, session: { persist: 'sealed' } },
  )
  world.signIn()
  const call = () => world.auth.fetch(`${API}orders?page=2`, { method: 'POST', body: 'b' })
  assert.equal((await call()).status, 200)
  await world.advance('2m')
  assert.equal((await call()).status, 200)
  world.crash()
  await world.settle()
  assert.equal((await call()).status, 200)
  const proofs = []
  for (const { headers } of requests) {
    const [scheme, token] = headers.get('authorization').split(' ')
    assert.equal(scheme, 'DPoP')
    const { isValid, jwk, claims } = await verifyProof(headers.get('dpop'))
    assert.ok(isValid)
    const { htm, htu, ath, jti } = claims
    const digest = await globalThis.crypto.subtle.digest('SHA-256', Buffer.from(token))
    const expected = { htm: 'POST', htu: `${API}orders`, ath: Buffer.from(digest).toString('base64url') }
    assert.deepEqual({ htm, htu, ath }, expected)
    proofs.push({ jti, x: jwk.x })
  }
  assert.equal(new Set(proofs.map(({ jti }) => jti)).size, 3)
  assert.equal(new Set(proofs.map(({ x }) => x)).size, 1)
  const damage = (bytes) => bytes.fill(65, 0, 1)
  assert.equal((await verifyProof(requests[0].headers.get('dpop'), damage)).isValid, false)
  assert.equal(world.calls[0].headers.dpop, undefined)
})

test('proof contains the nonce that the API requires', time, async () => {
  const nonces = []
  const api = async ({ headers }) => {
    const { claims } = await verifyProof(headers.get('dpop'))
    nonces.push(claims.nonce)
    const challenge = { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': 'n-1' }
    return claims.nonce ? new Response('') : new Response('', { status: 401, headers: challenge })
  }
  await open({ api }, { dpop: true })
  world.signIn()
  assert.equal((await world.auth.fetch(`${API}orders`)).status, 200)
  assert.deepEqual(nonces, [undefined, 'n-1'])
})

test('wrong configuration is refused', time, async () => {
  await refuses(testWorld({ ...CONFIG, issuer: 'http://id.example.com' }), 'config_invalid', /issuer/)
  await refuses(testWorld({ ...CONFIG, scopes: [] }), 'config_invalid', /scopes/)
})

test('world that has failed is not used again', time, async () => {
  await open()
  const other = await testWorld(CONFIG)
  world.navigations.push('https://id.example.com/authorize?client_id=another')
  const broken = /broke one of its own rules.*report this/
  await assert.rejects(world.followRedirect(), broken)
  assert.throws(() => world.signIn(), broken)
  await assert.rejects(world.advance('1s'), broken)
  other.signIn()
  assert.ok(other.auth.state.session)
  other.close()
})

test('page served over https is refused unless allowed', time, async (context) => {
  const { versions } = process
  context.after(() => {
    Object.defineProperty(process, 'versions', { value: versions })
    delete globalThis.location
  })
  Object.defineProperty(process, 'versions', { value: {} })
  globalThis.location = new URL('https://storybook.example/')
  await refuses(testWorld(CONFIG), 'unsupported', /allowHttps: true/)
  await open({ allowHttps: true })
  world.signIn()
  assert.ok(world.auth.state.session)
  // The URL of a frame with `srcdoc` is not https, but its origin is.
  globalThis.location = new URL('about:srcdoc')
  globalThis.origin = 'https://storybook.example'
  context.after(() => delete globalThis.origin)
  await refuses(testWorld(CONFIG), 'unsupported', /allowHttps: true/)
  // The origin of a sandboxed page is opaque, but its URL is https.
  globalThis.location = new URL('https://storybook.example/')
  globalThis.origin = 'null'
  await refuses(testWorld(CONFIG), 'unsupported', /allowHttps: true/)
})

test('banner is printed once', time, () => {
  const script = `
    import { testWorld } from ${JSON.stringify(new URL('../../pkg/dist/testing.js', import.meta.url).href)}
    for (let i = 0; i < 2; i++) (await testWorld(${JSON.stringify(CONFIG)})).close()`
  const said = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' })
  assert.equal(said.match(/test double/g).length, 1)
})

test('wrong duration is refused', time, async () => {
  await open()
  await assert.rejects(world.advance('31 minutes'), TypeError)
  await assert.rejects(world.advance(-1), TypeError)
})
