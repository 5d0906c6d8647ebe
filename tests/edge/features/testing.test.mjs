// Tests `strongroom/edge/testing`: its cookies at handlers that have its keys, over HTTP and in Chromium.
import assert from 'node:assert/strict'
import { calculateJwkThumbprint, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { randomBytes, randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { testKeys, testSessions } from '../../../pkg/dist/edge/testing.js'
import { booted, call } from '../../support/app.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { listen } from '../../support/listen.mjs'
import { sendJson } from '../../support/responses.mjs'

const time = { timeout: 60_000 }
const URL_OF_APP = 'http://localhost:3000'

/** The configuration of an app. Its provider does not exist, and its secrets are only where its server runs. */
const CONFIG = {
  issuer: 'https://id.example.com',
  client: { id: 'web', auth: { method: 'client_secret_basic', secret: ({ SECRET }) => SECRET } },
  cookie: { keys: ({ KEYS }) => KEYS },
  coordinator: inIsolate(),
  log() {},
}

let api
before(async () => {
  // Responds with the headers that an API gets from the handler.
  api = await listen({ handler: ({ headers }, response) => response.end(JSON.stringify(headers)) })
})
after(() => api?.close())

/** Starts sessions, and a handler as the app under test has it. */
async function start(more = {}, { url = more.origin ? undefined : URL_OF_APP } = {}) {
  const routes = [{ prefix: '/api/', upstream: ({ API }) => API, reflection: 'allow' }]
  const config = { ...CONFIG, routes, ...more }
  const sessions = await testSessions(config, { url })
  const handler = createTokenHandler(config)
  const env = { KEYS: sessions.keys, SECRET: 'a secret', API: `${api.origin}/` }
  const address = url ?? more.origin
  const send = (cookies, path, { env: other, ...init } = {}) => {
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
    const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', origin: address }
    return handler.fetch(new Request(new URL(path, address), { headers, ...init }), other ?? env)
  }
  const session = async (cookies, init) => (await (await send(cookies, '/auth/session', init)).json()).session
  return { sessions, env, send, session }
}

/** Returns the headers that the API gets. */
const sent = async (app, cookies) => (await app.send(cookies, '/api/orders')).json()

test('a handler with the keys of the sessions accepts their cookies', time, async () => {
  const app = await start()
  const cookies = await app.sessions.cookies({
    claims: { sub: 'bob', name: 'Bob', department: 'sales' },
    accessToken: 'the-token-of-bob',
    scope: 'openid orders',
  })
  const { claims, scopes } = await app.session(cookies)
  assert.deepEqual([claims, scopes], [{ sub: 'bob', name: 'Bob' }, ['openid', 'orders']])
  assert.equal((await sent(app, cookies)).authorization, 'Bearer the-token-of-bob')
})

// claim: handler-83
test('a handler with other keys refuses the cookies', time, async () => {
  const app = await start()
  const cookies = await app.sessions.cookies()
  assert.equal((await app.session(cookies)).claims.sub, 'alice')
  const others = [randomBytes(32).toString('base64'), testKeys(), (await start()).sessions.keys]
  for (const KEYS of others) {
    const { session } = await start()
    assert.equal(await session(cookies, { env: { ...app.env, KEYS } }), null)
  }
})

// claim: handler-83
test('a handler of an app that is served over https warns once of a test key', time, async () => {
  const [real, other] = [1, 2].map(() => randomBytes(32).toString('base64'))
  for (const [KEYS, url, origin, warnings] of [
    [testKeys(), 'https://app.example.com/', undefined, 1],
    [`${real} ${testKeys()}`, 'http://10.0.0.1/', 'https://app.example.com', 1],
    [`${real} ${other}`, 'https://app.example.com/', undefined, 0],
    [testKeys(), URL_OF_APP, undefined, 0],
  ]) {
    const lines = []
    const log = ({ level, code, message }) => lines.push(`${level} ${code}: ${message}`)
    const handler = createTokenHandler({ ...CONFIG, ...(origin && { origin }), log })
    for (let i = 0; i < 2; i++) await handler.fetch(new Request(url), { KEYS, SECRET: 'a secret' })
    assert.equal(lines.length, warnings, lines.join())
    if (warnings) assert.match(lines[0], /^warn config_invalid: `cookie\.keys` has a key of testKeys\(\)/)
  }
})

test('sessions with the same keys are of one app', time, async () => {
  const [keys, app] = [testKeys(), await start()]
  const [first, second] = await Promise.all([1, 2].map(() => testSessions(CONFIG, { keys, url: URL_OF_APP })))
  for (const sessions of [first, second]) {
    assert.equal(sessions.keys, keys)
    const { session } = await start()
    assert.ok(await session(await sessions.cookies(), { env: { ...app.env, KEYS: keys } }))
  }
})

test('each session has its own user and token', time, async () => {
  const app = await start()
  const names = ['alice', 'bob', 'carol']
  const all = await Promise.all(
    names.map((sub) => app.sessions.cookies({ claims: { sub }, accessToken: `token-of-${sub}` })),
  )
  for (const [i, cookies] of all.entries()) {
    assert.equal((await app.session(cookies)).claims.sub, names[i])
    assert.equal((await sent(app, cookies)).authorization, `Bearer token-of-${names[i]}`)
  }
})

test('logout ends one session, and not the others', time, async () => {
  const app = await start()
  const [first, second] = await Promise.all([app.sessions.cookies(), app.sessions.cookies()])
  const response = await app.send(first, '/auth/logout', { method: 'POST' })
  assert.equal((await response.json()).ended, true)
  assert.equal(await app.session(first), null)
  assert.equal((await app.session(second)).claims.sub, 'alice')
})

test('a session ends with its access token, unless it has a refresh token', time, async () => {
  const app = await start()
  const view = async (given) => app.session(await app.sessions.cookies(given))
  const short = await view({ expiresIn: 600 })
  assert.equal(short.expiresAt, short.accessTokenExpiresAt)
  assert.ok(Math.abs(short.expiresAt - Date.now() - 600_000) < 60_000)
  const long = await view({ expiresIn: 600, refreshToken: 'a-refresh-token' })
  assert.ok(long.expiresAt > long.accessTokenExpiresAt)
})

test('a logout at the provider ends the sessions of its user', time, async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256' }
  const keys = await listen({
    handler: (_request, response) => sendJson(response, 200, { keys: [jwk] }),
  })
  const [issuer, endpoint] = [keys.origin, `${keys.origin}/endpoint`]
  const metadata = { issuer, authorization_endpoint: endpoint, token_endpoint: endpoint, jwks_uri: endpoint }
  const app = await start({ issuer, metadata, session: { recheck: 0 } })
  const [alice, bob] = await Promise.all(
    ['alice', 'bob'].map((sub) => app.sessions.cookies({ claims: { sub } })),
  )
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  const token = await new SignJWT({ sub: 'alice', events, jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256', typ: 'logout+jwt' })
    .setIssuer(issuer)
    .setAudience('web')
    // The login must not be in the same second.
    .setIssuedAt(Math.floor(Date.now() / 1000) + 1)
    .setExpirationTime('2m')
    .sign(privateKey)
  const body = new URLSearchParams({ logout_token: token })
  assert.ok(await app.session(alice))
  const response = await app.send([], '/auth/backchannel-logout', { method: 'POST', body, headers: {} })
  await keys.close()
  assert.equal(response.status, 200, await response.text())
  assert.deepEqual([await app.session(alice), (await app.session(bob)).claims.sub], [null, 'bob'])
})

/** Configurations whose logins differ, and the names of their cookies. */
const VARIANTS = {
  'an https origin': [{ origin: 'https://app.example.com' }, '__Host-strongroom'],
  'an origin of env': [
    { origin: () => 'https://app.example.com' },
    '__Host-strongroom',
    'https://app.example.com',
  ],
  'several origins': [{ origin: ['https://*.example.com'] }, '__Host-strongroom', 'https://a.example.com'],
  'strict cookies': [{ cookie: { ...CONFIG.cookie, name: 'own', sameSite: 'strict' } }, 'own'],
  'the prefix __Host-Http-': [
    { origin: 'https://app.example.com', cookie: { ...CONFIG.cookie, httpPrefix: true } },
    '__Host-Http-strongroom',
  ],
  'a base': [{ base: '/login-here' }, 'strongroom'],
  'sessions in the store': [{ session: { storage: 'in-store' } }, 'strongroom'],
  'bound sessions': [
    { origin: 'https://app.example.com', session: { bind: 'if-supported' } },
    '__Host-strongroom',
  ],
  'pushed requests and an algorithm': [{ par: true, idTokenSignedResponseAlg: 'RS256' }, 'strongroom'],
  'metadata without keys': [{ metadata: { jwks_uri: 'https://id.example.com/none' } }, 'strongroom'],
  'claims of UserInfo': [{ userInfo: true }, 'strongroom'],
  'the user of a token response': [
    { identity: { from: 'token_response', sub: 'user_id', claims: ['name'] } },
    'strongroom',
  ],
  'the user of a profile': [
    { identity: { url: 'https://api.example.com/me', sub: 'id', claims: ['name'] } },
    'strongroom',
  ],
}

for (const [name, [config, cookieName, url]] of Object.entries(VARIANTS)) {
  test(`signs in with ${name}`, time, async () => {
    const app = await start(config, url && { url })
    const cookies = await app.sessions.cookies()
    assert.deepEqual(
      cookies.map((cookie) => cookie.name),
      [cookieName],
    )
    const base = config.base ?? '/auth'
    const response = await app.send(cookies, `${base}/session`)
    assert.deepEqual((await response.json()).session.claims, { sub: 'alice', name: 'Alice' })
  })
}

test('a session without a user has no claims', time, async () => {
  const app = await start({ identity: 'none' })
  assert.deepEqual((await app.session(await app.sessions.cookies())).claims, {})
})

test('cookies have the attributes of the handler', time, async () => {
  const cookie = { ...CONFIG.cookie, sameSite: 'strict' }
  const app = await start({ origin: 'https://app.example.com', cookie, session: { absolute: 7200 } })
  const [{ name: _, value, expires, ...rest }] = await app.sessions.cookies({
    refreshToken: 'a-refresh-token',
  })
  assert.deepEqual(rest, {
    url: 'https://app.example.com',
    httpOnly: true,
    secure: true,
    sameSite: 'Strict',
  })
  assert.match(value, /^[\w-]+/)
  assert.ok(expires > Date.now() / 1000 + 7100, String(expires))
})

test('a token is made for the key of its session', time, async () => {
  const app = await start({ dpop: true })
  const cookies = await app.sessions.cookies({ accessToken: ({ jkt }) => `token-for-${jkt}` })
  const { authorization, dpop } = await sent(app, cookies)
  const { jwk } = decodeProtectedHeader(dpop)
  assert.equal(authorization, `DPoP token-for-${await calculateJwkThumbprint(jwk)}`)
})

test('a handler that requires a bound session accepts one only at first', time, async (t) => {
  const app = await start({ origin: 'https://app.example.com', session: { bind: 'required' } })
  assert.ok(await app.session(await app.sessions.cookies()))
  const { now } = Date
  t.mock.method(Date, 'now', () => now() - 71_000)
  const old = await app.sessions.cookies()
  t.mock.restoreAll()
  assert.equal(await app.session(old), null)
})

/** Calls that are refused, and their messages. */
const REFUSED = {
  'keys of a server': [
    {},
    { keys: randomBytes(32).toString('base64') },
    /^`keys` must be a value of testKeys\(\)/,
  ],
  'keys of a variable that is not set': [
    {},
    { keys: process.env.NOT_SET },
    /^`keys` must be a value of testKeys\(\)/,
  ],
  'no address': [{}, {}, /^`url` must be the address at which/],
  'an address that is no URL': [{}, { url: 'localhost:3000' }, /^`url` must be the address at which/],
  'another origin': [
    { origin: 'https://app.example.com' },
    { url: URL_OF_APP },
    /^`url` must be an address of the configured `origin`, https:\/\/app\.example\.com: leave it out/,
  ],
  'no issuer': [{ issuer: undefined }, { url: URL_OF_APP }, /`issuer`/],
  'an issuer that env lacks': [{ issuer: (env) => env.ID.url }, { url: URL_OF_APP }, /^`issuer`: /],
  'an unknown option': [{ sesion: {} }, { url: URL_OF_APP }, /`sesion`/],
}

for (const [name, [config, options, message]] of Object.entries(REFUSED)) {
  test(`refuses ${name}`, time, async () => {
    const code = 'config_invalid'
    await assert.rejects(testSessions({ ...CONFIG, ...config }, options), { code, message })
  })
}

test('refuses a session that no login can have', time, async () => {
  const code = 'config_invalid'
  const { sessions } = await start({ unrequestedScopes: 'refuse' })
  const refused = (session, message) => assert.rejects(sessions.cookies(session), { code, message })
  await refused({ accessToken: '' }, /^the handler refuses this login: token_response_invalid: /)
  await refused({ scope: 'openid admin' }, /^the handler refuses this login: scope_exceeded: /)
  await refused({ accessToken: 'x'.repeat(16_000) }, /^the handler refuses this login: limit_exceeded: /)
  await refused({ expiresIn: -1 }, /^the handler refuses this login: token_response_invalid: .* expires_in /)
  const elsewhere = await start({ origin: ['https://a.example.com'] }, { url: 'https://b.example.com' })
  await assert.rejects(elsewhere.sessions.cookies(), { code, message: /^the handler refuses this login: / })
})

describe('in Chromium', () => {
  const keys = testKeys()
  let app, sessions
  before(async () => {
    app = await startPage('node', {
      coordinator: 'in-isolate',
      handler: { cookie: { keys } },
      route: { upstream: `${api.origin}/`, reflection: 'allow' },
    })
    const config = { ...CONFIG, issuer: app.provider.issuer }
    sessions = await testSessions(config, { keys, url: app.site.origin })
  }, time)
  after(() => app?.close())

  /** Opens the app in a browser of its own, with these cookies. */
  async function open(cookies) {
    const context = await app.browser.newContext()
    await context.addCookies(cookies)
    const page = await app.open('/', context)
    await booted(page)
    return page
  }
  const user = (page) => page.evaluate(() => auth.session?.claims ?? null)

  test('two users are signed in, each with an own token', time, async () => {
    for (const [sub, name] of Object.entries({ alice: 'Alice', bob: 'Bob' })) {
      const page = await open(
        await sessions.cookies({ claims: { sub, name }, accessToken: `token-of-${sub}` }),
      )
      assert.deepEqual(await user(page), { sub, name })
      const { value } = await call(page, `${app.api.url}orders`)
      assert.equal(JSON.parse(value.text).authorization, `Bearer token-of-${sub}`)
      await page.context().close()
    }
  })

  test('logout removes the cookies, and the session is over', time, async () => {
    const cookies = await sessions.cookies()
    const page = await open(cookies)
    await page.evaluate(() => auth.logout())
    assert.equal(await user(page), null)
    assert.deepEqual(
      (await page.context().cookies()).filter(({ name }) => name === 'strongroom'),
      [],
    )
    await page.context().close()
    const copy = await open(cookies)
    assert.equal(await user(copy), null)
    await copy.context().close()
  })

  test('cookies of other keys sign nobody in', time, async () => {
    const config = { ...CONFIG, issuer: app.provider.issuer }
    const others = await testSessions(config, { url: app.site.origin })
    const page = await open(await others.cookies())
    assert.equal(await user(page), null)
    await page.context().close()
  })
})
