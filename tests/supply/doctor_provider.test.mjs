// `strongroom doctor`: for each line about the provider, a provider that is wrong in exactly this way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readForm } from '../support/body.mjs'
import { assertFault, configFile, doctor, faultsIn, startDeployment, strongroom } from '../support/doctor.mjs'
import { listen } from '../support/listen.mjs'
import { load } from '../support/page_module.mjs'

let deployment, provider, pinnedMembers
before(async () => {
  ;({ pinnedMembers } = await load('doctor/metadata/pinned.ts'))
  deployment = await startDeployment()
  provider = await startFake()
})
after(() => Promise.all([deployment.close(), provider.close()]))

/** What the fake provider does, which each test may change. */
let state

const healthy = (origin) => ({
  document: {
    issuer: origin,
    authorization_endpoint: `${origin}/auth`,
    token_endpoint: `${origin}/token`,
    jwks_uri: `${origin}/keys`,
    revocation_endpoint: `${origin}/revoke`,
    userinfo_endpoint: `${origin}/me`,
    pushed_authorization_request_endpoint: `${origin}/par`,
    code_challenge_methods_supported: ['S256'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
    dpop_signing_alg_values_supported: ['ES256'],
    authorization_response_iss_parameter_supported: true,
  },
  /** The CORS headers of each path and method. */
  cors: () => ({ 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'Authorization, DPoP' }),
  keys: { keys: [{ kty: 'EC' }] },
  /** The authorization response to a request without interaction. */
  response: { error: 'login_required', iss: origin },
  page: undefined,
  tokenError: 'invalid_grant',
  /** The responses to a revocation and to a pushed request: status and body. */
  revoked: [200],
  pushed: [201, { request_uri: 'urn:ietf:params:oauth:request_uri:a1' }],
  missing: [],
  /** Milliseconds by which its clock is ahead. */
  ahead: 0,
})

/** Starts a provider whose parts can each be wrong. */
async function startFake() {
  const asked = []
  /** The redirect URI of the last pushed request. */
  let back
  const server = await listen({
    handler: async (request, response) => {
      const url = new URL(request.url, server.origin)
      const path = url.pathname
      asked.push({ method: request.method, path, query: url.searchParams })
      response.setHeader('Date', new Date(Date.now() + state.ahead).toUTCString())
      const send = (status, body, headers = {}) => {
        const own = request.headers.origin ? state.cors(path, request.method) : {}
        response.writeHead(status, { 'Content-Type': 'application/json', ...own, ...headers })
        response.end(body && JSON.stringify(body))
      }
      if (state.missing.includes(path)) return send(404, {})
      if (request.method === 'OPTIONS') return send(state.preflight ?? 204)
      if (path === '/.well-known/openid-configuration') return send(200, state.document)
      if (path === '/keys') return send(200, state.keys)
      if (path === '/token') {
        const form = await readForm(request)
        assert.equal(form.refresh_token, undefined)
        if (state.tokenRedirect) return send(308, undefined, { Location: state.tokenRedirect })
        return send(400, { error: state.tokenError })
      }
      if (path === '/revoke') return send(...state.revoked)
      if (path === '/par') {
        const form = await readForm(request)
        back = form.redirect_uri
        asked.at(-1).form = form
        return send(
          ...(form.prompt && state.refusesPrompt ? [400, { error: 'invalid_request' }] : state.pushed),
        )
      }
      if (path !== '/auth') return send(404, {})
      if (state.page) {
        response.writeHead(state.pageStatus ?? 400, { 'Content-Type': 'text/html' })
        return response.end(state.page)
      }
      const target = new URL(url.searchParams.get('redirect_uri') ?? back)
      const isRefused = url.searchParams.has('prompt') && state.refusesPrompt
      const answer = isRefused ? { error: 'invalid_request' } : state.response
      for (const [name, value] of Object.entries(answer)) target.searchParams.set(name, value)
      const { href } = target
      return send(303, undefined, { Location: state.isFragment ? href.replace('?', '#') : href })
    },
  })
  return Object.assign(server, { asked })
}

/** Runs the doctor for this provider. */
const look = async (change = () => {}, config = {}, ...args) => {
  state = healthy(provider.origin)
  change(state)
  provider.asked.length = 0
  const file = await configFile({ ...deployment.config, issuer: provider.origin, ...config })
  const report = await doctor(deployment.site.origin, '--config', file, ...args)
  return { ...report, ofProvider: report.lines.filter(({ id }) => id.startsWith('provider.')) }
}

const HEALTHY = {
  'provider.metadata': 'ok',
  'provider.cors-metadata': 'ok',
  'provider.pinned': 'unused',
  'provider.issuer': 'ok',
  'provider.endpoints': 'ok',
  'provider.s256': 'ok',
  'provider.algorithms': 'ok',
  'provider.revocation': 'ok',
  'provider.par': 'ok',
  'provider.iss': 'ok',
  'provider.dpop': 'unused',
  'provider.keys': 'ok',
  'provider.cors-keys': 'ok',
  'provider.cors-token': 'ok',
  'provider.cors-revocation': 'ok',
  'provider.cors-profile': 'unused',
  'provider.cors-token-errors': 'unseen',
  'provider.cors-par': 'ok',
  'provider.client': 'ok',
  'provider.iss-value': 'ok',
  'provider.clock': 'ok',
  'provider.refresh-tokens': 'unseen',
}

const resultsOf = ({ ofProvider }) => Object.fromEntries(ofProvider.map(({ id, result }) => [id, result]))

test('a provider in which everything is right, and no request to its token endpoint', async () => {
  const report = await look()
  assert.deepEqual(resultsOf(report), HEALTHY)
  const [pushed, ...others] = provider.asked.filter(({ method }) => method === 'POST')
  assert.deepEqual([pushed.path, ...others], ['/par'])
  assert.equal(pushed.form.prompt, 'none')
  assert.match(pushed.form.code_challenge, /^[\w-]{43}$/)
  const { query } = provider.asked.find(({ path }) => path === '/auth')
  assert.deepEqual([...query.keys()], ['client_id', 'request_uri'])
})

test('client: a request that the provider does not take by a push goes to its page', async () => {
  for (const change of [
    (s) => (s.pushed = [401, { error: 'invalid_client' }]),
    (s) => (s.pushed = [404, {}]),
    member('pushed_authorization_request_endpoint', 'http://127.0.0.1:1/par'),
    at('/par', {}),
    (s) => delete s.document.pushed_authorization_request_endpoint,
  ]) {
    const { by, ofProvider } = await look(change)
    assert.equal(by['provider.client'].result, 'ok')
    assert.deepEqual(faultsIn({ lines: ofProvider }), [])
    const { query } = provider.asked.findLast(({ path }) => path === '/auth')
    assert.equal(query.get('prompt'), 'none')
  }
  const { by } = await look(undefined, { par: false })
  assert.equal(by['provider.par'].result, 'unused')
  assert.equal(by['provider.client'].result, 'ok')
  assert.ok(provider.asked.every(({ path }) => path !== '/par'))
})

test('with --probe-token, one token request with a code that does not exist', async () => {
  const report = await look(undefined, undefined, '--probe-token')
  assert.deepEqual(resultsOf(report), {
    ...HEALTHY,
    'provider.cors-token-errors': 'ok',
    'provider.public-client': 'ok',
    'provider.logout': 'ok',
  })
  const posts = provider.asked.filter(({ method }) => method === 'POST')
  assert.deepEqual(posts.map(({ path }) => path).sort(), ['/par', '/revoke', '/token'])
})

const OTHER = { 'Access-Control-Allow-Origin': 'https://other.example.com' }
const at = (path, headers, of) => (state) => {
  const usual = state.cors
  state.cors = (one, method) => (one === path && (!of || of === method) ? headers : usual(one, method))
}
const member = (name, value) => (state) => {
  state.document[name] = value
}
const OWN = /^Access-Control-Allow-Origin: http:\/\/localhost:\d+/
const HEADERS = 'Access-Control-Allow-Headers'
const ANY = { 'Access-Control-Allow-Origin': '*' }
const DPOP = { dpop: true }
const DISCOVERY = '/.well-known/openid-configuration'
/** An address at which nothing responds. */
const NONE = 'http://127.0.0.1:1/'

/** What Keycloak says of a client that must push. */
const PUSHED_ONLY = 'Pushed Authorization Request is only allowed.'

/** For each line: the change, what was seen, the line that fixes it, the configuration, and more arguments. */
const BROKEN = [
  [
    'metadata',
    (s) => s.missing.push(DISCOVERY),
    /^404 .*openid-configuration$/,
    /^correct `issuer`, or add metadata: \{/,
  ],
  ['cors-metadata', at(DISCOVERY, {}), /^no Access-Control-Allow-Origin$/, OWN],
  ['cors-metadata', at(DISCOVERY, OTHER), /other\.example\.com/, OWN],
  ['pinned', () => {}, /^pinned: 1$/, /^npx strongroom metadata --config .*strongroom\.json$/, { pinned: 1 }],
  [
    'pinned',
    () => {},
    /^pinned: \{"issuer":"https:\/\/other/,
    /^npx strongroom metadata --config /,
    { pinned: { issuer: 'https://other.example.com' } },
  ],
  [
    'issuer',
    (s) => (s.document.issuer += '/'),
    /the issuer in the provider's metadata is 'http:\/\/127\.0\.0\.1:\d+\/', not /,
    '"issuer": "SITE/"',
  ],
  ['endpoints', member('token_endpoint'), /token_endpoint is missing/, /^metadata: \{/],
  [
    'endpoints',
    member('jwks_uri', 'http://id.example.com/keys'),
    /jwks_uri is 'http:\/\/id\.example\.com\/keys', but must be an absolute https URL/,
    /^metadata: \{/,
  ],
  ['s256', member('code_challenge_methods_supported', ['plain']), /does not contain 'S256'/, /S256/],
  [
    'algorithms',
    member('id_token_signing_alg_values_supported', ['HS256']),
    /id_token_signing_alg_values_supported/,
    /ES256 or RS256/,
  ],
  [
    'revocation',
    member('revocation_endpoint', 'http://id.example.com/'),
    /revocation_endpoint is 'http:/,
    /^"metadata": \{"revocation_endpoint":"https:\/\/…"\} in the configuration$/,
  ],
  [
    'par',
    member('pushed_authorization_request_endpoint'),
    /no pushed_authorization_request_endpoint/,
    /^"par": "auto"$/,
    { par: true },
  ],
  [
    'par',
    member('pushed_authorization_request_endpoint', []),
    /pushed_authorization_request_endpoint is an array/,
    /^"par": false in the configuration/,
  ],
  [
    'iss',
    member('authorization_response_iss_parameter_supported', 'yes'),
    /is a string, not a boolean/,
    /as a boolean/,
  ],
  [
    'pinned-algorithm',
    () => {},
    /: ES256, RS256$/,
    /^"idTokenSignedResponseAlg": "ES256"$/,
    { idTokenSignedResponseAlg: 'EdDSA' },
  ],
  ['dpop', member('dpop_signing_alg_values_supported', ['RS256']), /: RS256$/, /^"dpop": false/, DPOP],
  ['keys', (s) => (s.keys = { keys: [] }), /^200 application\/json/, /respond with 200/],
  ['keys', (s) => s.missing.push('/keys'), /^404/, /respond with 200/],
  ['cors-keys', at('/keys', OTHER), /other\.example\.com/, OWN],
  ['cors-token', at('/token', OTHER), /other\.example\.com/, OWN],
  ['cors-token', at('/token', ANY), `no ${HEADERS}`, `${HEADERS}: DPoP`, DPOP],
  [
    'cors-token',
    at('/token', { ...ANY, [HEADERS]: 'X-Own' }),
    `${HEADERS}: X-Own`,
    `${HEADERS}: X-Own, DPoP`,
    DPOP,
  ],
  ['cors-token', at('/token', {}), /^204.* for a preflight$/, OWN, DPOP],
  ['cors-revocation', at('/revoke', OTHER), /other\.example\.com/, OWN],
  [
    'cors-token-errors',
    at('/token', {}, 'POST'),
    /^400 .*no Access-Control-Allow-Origin$/,
    / \(once in each response, errors included\)$/,
    {},
    '--probe-token',
  ],
  [
    'token',
    (s) => (s.tokenRedirect = '/token/'),
    '308, a redirect to SITE/token/, which was not followed',
    'let the metadata name SITE/token/',
    {},
    '--probe-token',
  ],
  [
    'public-client',
    (s) => (s.tokenError = 'invalid_client'),
    /^invalid_client$/,
    /token_endpoint_auth_method "none"/,
    {},
    '--probe-token',
  ],
  [
    'client',
    (s) => Object.assign(s.response, { error: 'invalid_scope', error_description: 'no orders' }),
    /^error=invalid_scope \(no orders\)$/,
    /^"scope": "openid" and the scopes/,
  ],
  [
    'client',
    (s) => Object.assign(s.response, { error: 'invalid_scope' }),
    /^error=invalid_scope/,
    /^in `scope`, only the scopes/,
    { identity: 'none', scope: 'read' },
  ],
  [
    'client',
    (s) => Object.assign(s.response, { error: 'invalid_target' }),
    /^error=invalid_target/,
    /^write `resource` .* it is urn:a$/,
    { resource: 'urn:a' },
  ],
  [
    'client',
    (s) => (s.response.error = 'unauthorized_client'),
    /^error=unauthorized_client$/,
    /authorization code flow/,
  ],
  [
    'client',
    (s) => (s.page = '<p><code>invalid_redirect_uri</code> redirect_uri did not match</p>'),
    /^400: invalid_redirect_uri$/,
    'register the redirect URI SITE/callback, exactly so, for the client strongroom-demo at the provider',
  ],
  [
    'client',
    (s) =>
      (s.page = '<style>p { x: y }</style><p>The redirect URI is not registered for this application.</p>'),
    /^400: The redirect URI is not registered/,
    /^register the redirect URI/,
  ],
  [
    'client',
    (s) => (s.page = '<p>invalid_client</p>'),
    /^400: invalid_client$/,
    /^register the client strongroom-demo at the provider, or correct `clientId`$/,
  ],
  [
    'par',
    member('require_pushed_authorization_requests', true),
    /^par: false, and require_pushed_authorization_requests: true in the metadata$/,
    /^remove `par` from the configuration$/,
    { par: false },
  ],
  [
    'cors-par',
    (s) => {
      at('/par', {})(s)
      s.document.require_pushed_authorization_requests = true
    },
    /^201 .*no Access-Control-Allow-Origin$/,
    OWN,
  ],
  [
    'client',
    (s) => {
      s.pushed = [401, { error: 'invalid_client' }]
      s.document.require_pushed_authorization_requests = true
    },
    /^401 invalid_client$/,
    /^register the client strongroom-demo as public/,
  ],
  [
    'client',
    (s) => (s.pushed = [400, { error: 'invalid_request', error_description: 'redirect_uri is unknown' }]),
    /^400 invalid_request \(redirect_uri is unknown\)$/,
    /^register the redirect URI http:\/\/localhost:\d+\/callback, exactly so/,
  ],
  [
    'client',
    (s) => Object.assign(s.response, { error: 'invalid_request', error_description: PUSHED_ONLY }),
    /^error=invalid_request \(Pushed Authorization Request is only allowed\.\)$/,
    /^remove `par` from the configuration: the provider requires pushed requests of this client$/,
    { par: false },
  ],
  [
    'logout',
    (s) => (s.revoked = [401, { error: 'invalid_client' }]),
    /^401 application\/json: invalid_client$/,
    /^let the provider accept revocations of the public client strongroom-demo/,
    {},
    '--probe-token',
  ],
  ...[
    ['cors-token', 'token_endpoint'],
    ['cors-revocation', 'revocation_endpoint'],
    ['client', 'authorization_endpoint'],
  ].map(([name, endpoint]) => [
    name,
    () => {},
    /ECONNREFUSED .* for http:\/\/127\.0\.0\.1:1\/$/,
    /^let a server respond at http:\/\/127\.0\.0\.1:1, or correct the provider's address/,
    { metadata: { [endpoint]: NONE } },
  ]),
  [
    'client',
    member('pushed_authorization_request_endpoint', NONE),
    /ECONNREFUSED/,
    /^let a server respond/,
    { par: true },
  ],
  [
    'cors-token',
    (s) => (s.preflight = 401),
    /^401 .* for a preflight$/,
    /a status from 200 to 299 for preflights/,
    DPOP,
  ],
  ...[
    [(s) => delete s.document.userinfo_endpoint, /^userinfo_endpoint: undefined$/, /^"userInfo": false$/],
    [
      member('userinfo_endpoint', 'https://api.example.com/me'),
      /api\.example\.com/,
      /^"metadata": \{"userinfo_endpoint":"https:\/\/api\.example\.com\/me"\}$/,
    ],
    [at('/me', {}), /^204.* for a preflight$/, OWN],
    [at('/me', { ...ANY, [HEADERS]: '*' }), `${HEADERS}: *`, /: \*, Authorization$/],
  ].map((row) => ['cors-profile', ...row, { userInfo: true }]),
  [
    'clock',
    (s) => (s.ahead = 120_000),
    /^1(19|20) s, and clockTolerance is 60 s$/,
    /\(NTP\), or "clockTolerance": 12\d$/,
  ],
  [
    'iss-value',
    (s) => (s.response.iss = 'https://other.example.com'),
    /^iss=https:\/\/other/,
    /^let the provider use one issuer: its metadata has http:/,
  ],
]

for (const [name, change, seen, fix, config = {}, ...args] of BROKEN) {
  test(`provider.${name}: ${seen} ${JSON.stringify(config)}`, async () => {
    const report = await look(change, config, ...args)
    assertFault(report, `provider.${name}`, seen, fix, undefined, 'provider.')
  })
}

/** Looks at a deployment whose metadata were pinned before they changed. */
const lookPinned = (change) =>
  look((s) => change(s.document), {
    pinned: { at: '2026-01-31', ...pinnedMembers(healthy(provider.origin).document) },
  })

test('pinned: metadata that have not changed are right, whatever the algorithms', async () => {
  const { by, ofProvider } = await lookPinned((document) => {
    document.id_token_signing_alg_values_supported = ['RS256']
  })
  assert.equal(by['provider.pinned'].result, 'ok')
  assert.equal(by['provider.pinned'].text, "the pinned metadata of 2026-01-31 are the provider's")
  assert.deepEqual(faultsIn({ lines: ofProvider }), [])
})

test('pinned: a changed member is named, with the command, and with what headers block', async () => {
  const { origin } = provider
  const elsewhere = origin.replace('127.0.0.1', 'localhost')
  for (const [change, seen, text] of [
    [
      (d) => (d.token_endpoint = `${elsewhere}/token`),
      `token_endpoint\n    pinned  "${origin}/token"\n    now     "${elsewhere}/token"`,
      `, and until the next deployment the worker's headers block ${elsewhere}`,
    ],
    [
      (d) => (d.revocation_endpoint = `${origin}/v2`),
      `revocation_endpoint\n    pinned  "${origin}/revoke"\n    now     "${origin}/v2"`,
      '',
    ],
    [
      (d) => (d.introspection_endpoint = `${origin}/introspect`),
      `introspection_endpoint\n    pinned  –\n    now     "${origin}/introspect"`,
      '',
    ],
    [
      (d) => delete d.pushed_authorization_request_endpoint,
      `pushed_authorization_request_endpoint\n    pinned  "${origin}/par"\n    now     –`,
      '',
    ],
  ]) {
    const { by, status } = await lookPinned(change)
    const line = by['provider.pinned']
    assert.equal(line.seen.trim(), seen)
    assert.equal(line.text, `the provider's metadata have changed since 2026-01-31${text}`)
    assert.match(line.fix, /^npx strongroom metadata --config \S+, and deploy$/)
    assert.equal(status, 1)
  }
})

test('pinned: the members of `metadata` hide no difference', async () => {
  const { origin } = provider
  const pinned = {
    at: '2026-01-31',
    ...pinnedMembers(healthy(origin).document),
    token_endpoint: `${origin}/old`,
  }
  const { by } = await look(() => {}, { pinned, metadata: { token_endpoint: `${origin}/token` } })
  assert.match(by['provider.pinned'].seen, /token_endpoint\n {4}pinned {2}".*\/old"/)
})

test('issuer: the line says what differs, with the option as the configuration writes it', async () => {
  const { by } = await look((s) => (s.document.issuer += '/'))
  assert.equal(by['provider.issuer'].text, "the configured issuer is not exactly the provider's")
  state = healthy(provider.origin)
  state.document.issuer += '/'
  const own = JSON.stringify({ ...deployment.config, issuer: provider.origin })
  const file = await configFile(`export const config = ${own}`, 'auth.config.mjs')
  const report = await doctor(deployment.site.origin, '--config', file)
  assert.equal(report.by['provider.issuer'].fix, `issuer: '${provider.origin}/'`)
  const missing = await look(member('issuer'))
  assert.equal(missing.by['provider.issuer'].text, 'the core refuses the metadata')
})

test('client: of an error page, the report has the sentence that refuses the redirect URI', async () => {
  const words = 'a heading and '.repeat(20)
  for (const [page, seen] of [
    ['We are sorry... Invalid parameter: redirect_uri', 'Invalid parameter: redirect_uri'],
    ['<h1>Sorry!</h1>The redirect URI is not valid. Ask your admin.', 'The redirect URI is not valid.'],
    [
      '<h1>Oh</h1>redirect_uri did not match the registration',
      'Oh redirect_uri did not match the registration',
    ],
    ['Error 400: redirect_uri_mismatch Learn more', 'redirect_uri_mismatch'],
    [
      `${words}the redirect URI is not registered`,
      /^(a|and|heading) [a-z ]{30,70} the redirect URI is not registered$/,
    ],
    [
      `The redirect URI is not registered ${words}`,
      /^The redirect URI is not registered [a-z ]+ (a|heading|and) …$/,
    ],
  ]) {
    const { by } = await look((s) => (s.page = `<p>${page}</p>`))
    const [, found] = by['provider.client'].seen.split(/^400: /)
    if (typeof seen === 'string') assert.equal(found, seen)
    else assert.match(found, seen)
  }
})

test('client: a push without a usable response proves nothing', async () => {
  for (const change of [(s) => (s.pushed = [503, {}]), (s) => (s.pushed = [429, {}])]) {
    for (const config of [{}, { par: true }]) {
      const { by, ofProvider } = await look(change, config)
      assert.equal(by['provider.client'].result, 'unseen')
      assert.match(by['provider.client'].text, /^a pushed request got no usable response/)
      assert.deepEqual(faultsIn({ lines: ofProvider }), [])
    }
  }
})

test('a provider cannot write lines of the report', async () => {
  const hostile = 'x\n\nToken handler\n  ✓ made up \u202e'
  state = healthy(provider.origin)
  state.revoked = [400, { error: hostile }]
  state.pushed = [400, { error: hostile, error_description: hostile }]
  const file = await configFile({ ...deployment.config, issuer: provider.origin })
  const { stdout } = await strongroom(['doctor', deployment.site.origin, '--config', file, '--probe-token'])
  assert.ok(stdout.includes('does not show if logouts can revoke'))
  assert.doesNotMatch(stdout, /^ *✓ made up|\u202e/m)
  assert.equal(stdout.match(/^Token handler/gm).length, 1)
})

test('client: a page in spite of prompt=none is named as such', async () => {
  const { by } = await look((s) => Object.assign(s, { page: '<h1>Sign in</h1>', pageStatus: 200 }))
  assert.equal(by['provider.client'].result, 'unseen')
  assert.match(by['provider.client'].text, /^the provider shows a page, which proves nothing/)
})

test('client: what proves the client, and what proves nothing', async () => {
  const { origin } = provider
  const SECRET = 'a-code-that-no-report-shows'
  for (const [change, result] of [
    // Mocks, and providers that know the user by the network, issue a code without a question.
    [(s) => (s.response = { code: SECRET, iss: origin }), 'ok'],
    [(s) => (s.response.error = 'temporarily_unavailable'), 'unseen'],
    [(s) => (s.response.error = 'access_denied'), 'unseen'],
    [(s) => (s.response = { iss: origin }), 'unseen'],
    // No login of a user has prompt=none.
    [(s) => (s.refusesPrompt = true), 'ok'],
    [(s) => Object.assign(s, { refusesPrompt: true, page: '<h1>Sign in</h1>', pageStatus: 200 }), 'unseen'],
  ]) {
    for (const config of [{}, { par: false }]) {
      const { by, ofProvider, lines } = await look(change, config)
      assert.equal(by['provider.client'].result, result, by['provider.client'].text)
      assert.deepEqual(faultsIn({ lines: ofProvider }), [])
      assert.ok(!JSON.stringify(lines).includes(SECRET))
    }
  }
})

test('clock: what differs and harms no login, and what nobody knows', async () => {
  for (const [ahead, server, result, config] of [
    [120_000, 0, 'ok', { clockTolerance: 200 }],
    [120_000, 120_000, 'unseen', {}],
    [-3_600_000, 0, 'unseen', {}],
    [120_000, 0, 'unused', { identity: 'none', scope: 'orders' }],
  ]) {
    const { site } = deployment
    site.headers = { '/index.html': { Date: new Date(Date.now() + server).toUTCString() } }
    const { by, ofProvider } = await look((s) => (s.ahead = ahead), config)
    site.headers = {}
    assert.equal(by['provider.clock'].result, result, by['provider.clock'].text)
    assert.deepEqual(faultsIn({ lines: ofProvider }), [])
  }
})

test('without OpenID Connect, the request has neither prompt nor nonce', async () => {
  await look((s) => delete s.document.jwks_uri, { identity: 'none', scope: 'orders', par: false })
  const { query } = provider.asked.findLast(({ path }) => path === '/auth')
  assert.deepEqual([query.get('prompt'), query.get('nonce')], [null, null])
})

test('client: the words of error pages that refuse a redirect URI, and of others', async () => {
  for (const [text, isRefusal] of [
    ['Error 400: redirect_uri_mismatch', true],
    ['We are sorry... Invalid parameter: redirect_uri', true],
    ['Callback URL mismatch.', true],
    ["The 'redirect_uri' parameter must be a Login redirect URI in the client app settings", true],
    ["AADSTS50011: The redirect URI 'https://app.example.com/a/long/path' specified does not match", true],
    ['The redirect_uri is not associated with this application.', true],
    ['The session has expired. You are taken back to the redirect URI of the app.', false],
    ['The request is invalid. Its redirect_uri was https://app.example.com/callback.', false],
  ]) {
    const { by } = await look(
      (s) => (s.page = `<head><title>redirect_uri_mismatch</title></head><p>${text}</p>`),
    )
    assert.equal(by['provider.client'].result, isRefusal ? 'fault' : 'unseen', text)
  }
})

const withoutIss = (s) => {
  delete s.response.iss
  delete s.document.authorization_response_iss_parameter_supported
}

test('an iss that is not announced is compared, too', async () => {
  for (const [iss, result] of [
    [provider.origin, 'ok'],
    ['https://other.example', 'fault'],
  ]) {
    const { by } = await look((s) => {
      withoutIss(s)
      s.response.iss = iss
    })
    assert.equal(by['provider.iss-value'].result, result)
  }
})

test('what cannot be seen is a question, with its reason', async () => {
  for (const [name, change, config, reason, ...args] of [
    [
      'client',
      (s) => (s.page = '<h1>Not possible</h1>'),
      {},
      /an error page proves nothing \(400 text\/html\)/,
    ],
    [
      'client',
      (s) => (s.page = '<title>Sorry</title><a href="/?redirect_uri=invalid_client">redirect_uri: again</a>'),
      {},
      /an error page proves nothing/,
    ],
    ['iss-value', (s) => delete s.response.iss, {}, /has no iss, although the metadata.*callback_invalid/],
    ['iss-value', withoutIss, { requireIss: true }, /has no iss, although requireIss.*callback_invalid/],
    ['logout', (s) => (s.revoked = [503]), {}, /does not show if logouts can revoke/, '--probe-token'],
    ['s256', member('code_challenge_methods_supported'), {}, /does not say which PKCE methods/],
    ['algorithms', member('id_token_signing_alg_values_supported'), {}, /does not say which algorithms/],
    [
      'dpop',
      member('dpop_signing_alg_values_supported'),
      { dpop: true },
      /no dpop_signing_alg_values_supported/,
    ],
    ['cors-token', at('/token', {}), {}, /--probe-token shows more/],
    ['refresh-tokens', member('scopes_supported', ['openid']), {}, /does not list offline_access/],
  ]) {
    const { by, ofProvider } = await look(change, config, ...args)
    const line = by[`provider.${name}`]
    assert.equal(line?.result, 'unseen', name + JSON.stringify(ofProvider))
    assert.match(line.text, reason)
    assert.deepEqual(faultsIn({ lines: ofProvider }), [])
  }
})

test('what the provider does not have is not used', async () => {
  for (const [name, change, config] of [
    ['revocation', member('revocation_endpoint')],
    ['revocation', member('revocation_endpoint', '')],
    ['cors-revocation', member('revocation_endpoint')],
    ['par', member('pushed_authorization_request_endpoint')],
    ['iss', member('authorization_response_iss_parameter_supported')],
    ['iss-value', withoutIss],
    ['refresh-tokens', undefined, { scope: 'openid' }],
  ]) {
    const { by, ofProvider } = await look(change, config)
    assert.equal(by[`provider.${name}`].result, 'unused', name)
    assert.deepEqual(faultsIn({ lines: ofProvider }), [])
  }
})

test('configured metadata complete and replace the discovery document', async () => {
  const { document } = healthy(provider.origin)
  const { by } = await look((s) => s.missing.push('/.well-known/openid-configuration'), {
    metadata: document,
  })
  assert.equal(by['provider.metadata'].result, 'unused')
  assert.equal(by['provider.client'].result, 'ok')
  const token_endpoint = `${provider.origin}/token`
  const completed = await look(member('token_endpoint'), { metadata: { token_endpoint } })
  assert.deepEqual(resultsOf(completed), HEALTHY)
})

test('replaced: an address of another environment that responds', async () => {
  const token_endpoint = `${provider.origin}/token?staging`
  const { by } = await look(undefined, { metadata: { token_endpoint } })
  assert.equal(by['provider.replaced'].result, 'unseen')
  assert.ok(by['provider.replaced'].text.includes(`${token_endpoint}, and not ${provider.origin}/token: `))
})

test('a response in the fragment is read, too', async () => {
  const change = (s) => (s.isFragment = true)
  const { by } = await look(change, { responseMode: 'fragment' })
  assert.equal(provider.asked.find(({ path }) => path === '/par').form.response_mode, 'fragment')
  assert.equal(by['provider.client'].result, 'ok')
  assert.equal(by['provider.iss-value'].result, 'ok')
})

test('a login names the resource', async () => {
  await look(undefined, { resource: 'urn:a' })
  assert.equal(provider.asked.find(({ path }) => path === '/par').form.resource, 'urn:a')
})

test('a server without OpenID Connect needs no keys', async () => {
  const only = ['issuer', 'authorization_endpoint', 'token_endpoint']
  const { ofProvider, by } = await look(
    (s) => (s.document = Object.fromEntries(only.map((name) => [name, s.document[name]]))),
    { identity: { from: 'token_response', sub: 'uid' }, scope: 'read' },
  )
  assert.deepEqual(faultsIn({ lines: ofProvider }), [])
  assert.equal(by['provider.keys'].result, 'unused')
})

test('a provider that sends anything is reported, and does not stop the doctor', async () => {
  const odd = [null, 5, 'x', [], {}, [[]], true, 'http://127.0.0.1:1/', 'javascript:alert(1)', '//']
  for (const value of odd) {
    const change = (s) => {
      for (const name of Object.keys(s.document)) if (name !== 'issuer') s.document[name] = value
      s.document.userinfo_endpoint = value
    }
    const { ofProvider } = await look(change, {
      dpop: true,
      userInfo: true,
      idTokenSignedResponseAlg: 'ES256',
    })
    assert.equal(ofProvider.find(({ id }) => id === 'provider.issuer').result, 'ok', String(value))
  }
  for (const document of [[], 'x', 5, null, { issuer: {} }]) {
    const { ofProvider } = await look((s) => (s.document = document))
    assert.ok(
      ofProvider.some(({ result }) => result === 'fault'),
      JSON.stringify(document),
    )
  }
})

test('a private address in the metadata is not requested', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { Requests } = await load('doctor/requests.ts')
  const { failure } = await new Requests(false).send(`${provider.origin}/keys`)
  assert.match(failure, /private address 127\.0\.0\.1/)
})
