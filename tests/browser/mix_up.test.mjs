// The mix-up attack on an app with two issuers (RFC 9700 4.4): a hostile server sends the browser on to the honest one, and
// waits for its code and verifier in its own token endpoint. Two things prevent this: an issuer that names itself in each
// response, or for each issuer a redirect URI of its own that is registered for a client of its own.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { booted, startApp, workerScript } from '../support/app.mjs'
import { readForm } from '../support/body.mjs'
import { freePort, listen } from '../support/listen.mjs'
import { CLIENT_ID } from '../support/servers.mjs'

const time = { timeout: 60_000 }

/** A client with the redirect URIs of both issuers. */
const BOTH = 'one-client-for-both'

/** The client of the hostile server. The honest one knows it, too, as it can read the document of any client. */
const DOCUMENT = 'a-document-for-each'

let app
let evil

before(async () => {
  const port = await freePort()
  const at = (path) => `http://localhost:${port}${path}`
  const clients = [
    { client_id: BOTH, redirect_uris: [at('/callback'), at('/callback/b')] },
    { client_id: DOCUMENT, redirect_uris: [at('/callback/b')] },
  ]
  const ids = [CLIENT_ID, BOTH, DOCUMENT]
  app = await startApp({
    site: { port },
    clients,
    // The honest server asks for no consent, so that a login can be silent, and issues refresh tokens.
    provider: {
      refreshTokenAlways: true,
      trusted: Object.fromEntries(ids.map((id) => [id, { accessTokenSeconds: 300 }])),
    },
    config: { scope: 'openid profile orders' },
  })
  evil = await startEvil()
  app.site.connectSrc.push(evil.issuer)
  app.site.workers.push('/a.worker.js', '/b.worker.js')
  app.site.routes['/callback/b'] = '/index.html'
})
after(() => Promise.all([app?.close(), evil?.close()]))
afterEach(() => {
  app.provider.settings.sendsIss = true
  Object.assign(evil, { stolen: [], forged: {} })
})

/** Starts the hostile server. `forged` replaces parameters of the authorization request that it sends on. */
async function startEvil() {
  const server = { stolen: [], forged: {} }
  const cors = { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'application/json' }
  /** The redirect URI and the client of the last request that was sent on. */
  let sent
  const { origin, close } = await listen({
    handler: async (request, response) => {
      const send = (status, body, headers = cors) => response.writeHead(status, headers).end(body)
      const { pathname, searchParams } = new URL(request.url, 'http://evil')
      if (pathname.startsWith('/.well-known/')) {
        return send(
          200,
          JSON.stringify({
            issuer: origin,
            authorization_endpoint: `${origin}/authorize`,
            token_endpoint: `${origin}/token`,
            jwks_uri: `${origin}/jwks`,
            code_challenge_methods_supported: ['S256'],
            id_token_signing_alg_values_supported: ['ES256'],
          }),
        )
      }
      if (pathname === '/authorize') {
        sent = new URLSearchParams(searchParams)
        for (const [name, value] of Object.entries(server.forged)) sent.set(name, value)
        sent.set('scope', 'openid orders')
        return send(302, '', { Location: `${app.provider.issuer}/auth?${sent}` })
      }
      if (pathname !== '/token') return send(404, '{}')
      const form = new URLSearchParams(await readForm(request))
      for (const name of ['client_id', 'redirect_uri']) form.set(name, sent.get(name))
      const redeemed = await fetch(`${app.provider.issuer}/token`, { method: 'POST', body: form })
      server.stolen.push(await redeemed.json())
      return send(400, '{"error":"invalid_grant"}')
    },
  })
  return Object.assign(server, { issuer: origin, close })
}

/** The page's script: `a` is the client of the honest issuer, and `b` that of the hostile one. */
const pageScript = (resume) => `
import '/tools.js'
const worker = (name) => () => new SharedWorker('/' + name + '.worker.js', { type: 'module', extendedLifetime: true })
const start = async () => {
  globalThis.a = await connect(worker('a'))
  const ofA = settle(a.handleCallback())
  globalThis.b = await connect(worker('b'), { resume: ${JSON.stringify(resume)} })
  return { a: await ofA, b: await settle(b.handleCallback()) }
}
globalThis.boot = settle(start())
`

/** Opens the app, whose user is signed in at the honest server. `a` and `b` have options of the vaults. */
async function openSignedIn({ a = {}, b = {} }) {
  Object.assign(app.site.files, {
    '/a.worker.js': workerScript({ ...app.config, ...a }),
    '/b.worker.js': workerScript({ ...app.config, issuer: evil.issuer, ...b }),
    '/page.js': pageScript(),
  })
  const page = await app.open()
  await booted(page)
  await page.evaluate(() => void a.login())
  await page.fill('#username', ACCOUNTS[0].username)
  await page.fill('#password', ACCOUNTS[0].password)
  await page.click('button[value=login]')
  assert.deepEqual((await back(page)).a, { value: { returnTo: '/' } })
  return page
}

/** Waits until the page is at a redirect URI. Resolves with the results of both callbacks. */
async function back(page) {
  await page.waitForFunction(() => /callback/.test(location.pathname) && globalThis.boot)
  return (await booted(page)).value
}

/** Begins a login at the hostile server. Resolves with the result of its vault's callback. */
async function logInAtEvil(page) {
  // The page may still be at the redirect URI.
  await page.goto(app.site.origin)
  await booted(page)
  await page.evaluate(() => void b.login())
  return (await back(page)).b
}

/** Opens the app again, whose vault of the hostile server resumes a session by a redirect. Such a failure is on the console. */
async function resumeAtEvil(page) {
  const said = page.waitForEvent('console', (line) => line.text().includes('no session was resumed'))
  app.site.files['/page.js'] = pageScript('redirect')
  await page.goto(app.site.origin)
  await page.waitForFunction(() => globalThis.b, null, { polling: 20 })
  return { error: { message: (await said).text() } }
}

/** The kinds of tokens that the hostile server has got. */
const stolen = () => evil.stolen.flatMap(Object.keys).filter((name) => name.endsWith('_token'))

const ATTACKS = {
  'one redirect URI and one client': { b: { identity: 'none', scope: 'orders' } },
  'OpenID Connect at the hostile server': {},
  'a redirect URI for each, and one client for both': {
    a: { clientId: BOTH },
    b: { clientId: BOTH, redirectUri: '/callback/b' },
  },
  'a redirect URI and a public document for each': {
    b: { clientId: DOCUMENT, redirectUri: '/callback/b' },
  },
  "without a click, by resume: 'redirect'": { begin: resumeAtEvil },
}

for (const [name, { begin = logInAtEvil, ...options }] of Object.entries(ATTACKS)) {
  test(`tokens are stolen without iss: ${name}`, time, async () => {
    const page = await openSignedIn(options)
    app.provider.settings.sendsIss = false
    await begin(page)
    assert.deepEqual(stolen().sort(), ['access_token', 'id_token', 'refresh_token'])
    await page.context().close()
  })

  // claim: site-4
  test(`no code is sent with iss: ${name}`, time, async () => {
    const page = await openSignedIn(options)
    const { error } = await begin(page)
    assert.match(error.message, /the response's iss is not the configured issuer/)
    assert.deepEqual(evil.stolen, [])
    await page.context().close()
  })

  // claim: site-4
  test(`no code is sent with requireIss: ${name}`, time, async () => {
    const page = await openSignedIn({ ...options, b: { ...options.b, requireIss: true } })
    app.provider.settings.sendsIss = false
    const { error } = await begin(page)
    assert.match(error.message, /has no iss, and requireIss is set/)
    assert.deepEqual(evil.stolen, [])
    await page.context().close()
  })
}

const OWN = { clientId: 'only-at-the-hostile-server', redirectUri: '/callback/b' }

for (const [name, forge] of Object.entries({
  'as the app sent it': () => ({}),
  'with the client of the honest server': () => ({ client_id: CLIENT_ID }),
  'with its client and redirect URI': () => ({
    client_id: CLIENT_ID,
    redirect_uri: `${app.site.origin}/callback`,
  }),
})) {
  // claim: site-4
  test(`no code is sent with a redirect URI and a client of its own: ${name}`, time, async () => {
    const page = await openSignedIn({ b: OWN })
    app.provider.settings.sendsIss = false
    evil.forged = forge()
    if (evil.forged.redirect_uri) {
      const { error } = await logInAtEvil(page)
      assert.equal(error?.code, 'redirect_uri_mismatch')
    } else {
      const refused = page.waitForResponse((response) => response.url().startsWith(app.provider.issuer))
      await page.evaluate(() => void b.login())
      assert.equal((await refused).status(), 400)
    }
    assert.deepEqual(evil.stolen, [])
    await page.context().close()
  })
}
