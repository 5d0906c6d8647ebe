// `strongroom doctor`: for each line about a rule of `apis`, an API that is wrong in exactly this way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertFault, configFile, doctor, faultsIn, startDeployment } from '../support/doctor.mjs'
import { listen } from '../support/listen.mjs'

let deployment, api, state
before(async () => {
  deployment = await startDeployment()
  api = await startFake()
})
after(() => Promise.all([deployment.close(), api.close()]))

const healthy = () => ({
  preflight: {
    status: 204,
    headers: {
      'Access-Control-Allow-Origin': deployment.site.origin,
      'Access-Control-Allow-Headers': 'Authorization, DPoP',
      'Access-Control-Allow-Methods': 'GET, PUT, DELETE',
      'Access-Control-Max-Age': '600',
    },
  },
  response: {
    status: 401,
    headers: { 'Access-Control-Allow-Origin': deployment.site.origin, 'Cache-Control': 'no-store' },
    body: '{}',
  },
})

async function startFake() {
  const asked = []
  const server = await listen({
    handler: (request, response) => {
      asked.push({ method: request.method, headers: request.headers })
      if (request.method === 'OPTIONS' && !state.preflight) return request.socket.destroy()
      const { status, headers, body } = request.method === 'OPTIONS' ? state.preflight : state.response
      response.writeHead(status, headers).end(body === 'echo' ? JSON.stringify(request.headers) : body)
    },
  })
  return Object.assign(server, { asked })
}

const look = async (change = () => {}, rule = {}, config = {}) => {
  state = healthy()
  change(state)
  api.asked.length = 0
  const apis = [{ url: `${api.origin}/v1/`, methods: ['GET', 'PUT'], ...rule }]
  const file = await configFile({ ...deployment.config, apis, ...config })
  const report = await doctor(deployment.site.origin, '--config', file)
  return { ...report, ofApi: report.lines.filter(({ id }) => id.startsWith('api.')) }
}

const resultsOf = ({ ofApi }) => Object.fromEntries(ofApi.map(({ id, result }) => [id, result]))

const HEALTHY = {
  'api.0.preflight': 'ok',
  'api.0.headers': 'ok',
  'api.0.methods': 'ok',
  'api.0.preflight-age': 'ok',
  'api.0.redirect': 'ok',
  'api.0.response': 'ok',
  'api.0.exposed': 'unused',
  'api.0.no-store': 'ok',
  'api.0.echo': 'ok',
}

test('preflight: a firewall that drops OPTIONS', async () => {
  const { by, ofApi } = await look((s) => delete s.preflight)
  assert.equal(by['api.0.preflight'].result, 'fault')
  assert.match(by['api.0.preflight'].seen, /socket hang up for a preflight$/)
  assert.match(by['api.0.preflight'].fix, /each firewall before it, respond to OPTIONS/)
  assert.equal(ofApi.filter(({ result }) => result === 'fault').length, 1)
})

test('an API in which everything is right gets two requests, and no token', async () => {
  const report = await look()
  assert.deepEqual(resultsOf(report), HEALTHY)
  assert.deepEqual(
    api.asked.map(({ method }) => method),
    ['OPTIONS', 'GET'],
  )
  for (const { headers } of api.asked) assert.equal(headers.authorization, undefined)
})

test('api.echo: the rest of a response that is too long may repeat a header', async () => {
  const { by } = await look((s) => (s.response.body = ' '.repeat(2 * 1024 * 1024)))
  assert.equal(by['api.0.echo'].result, 'unseen')
})

const ORIGIN = 'Access-Control-Allow-Origin'
const HEADERS = 'Access-Control-Allow-Headers'
const METHODS = 'Access-Control-Allow-Methods'
const EXPOSED = 'Access-Control-Expose-Headers'
const CREDENTIALS = 'Access-Control-Allow-Credentials'

/** Changes a header of preflights or of responses. */
const header = (part) => (name, value) => (state) => {
  if (value === undefined) delete state[part].headers[name]
  else state[part].headers[name] = value
}
const preflight = header('preflight')
const response = header('response')

/** Changes a header of an API that allows cookies: of preflights if they have it, and otherwise of responses. */
const withCookies = (name, value) => (state) => {
  for (const reply of [state.preflight, state.response]) reply.headers[CREDENTIALS] = 'true'
  const change = name in state.preflight.headers && name !== CREDENTIALS ? preflight : response
  change(name, value)(state)
}

/** Rules, and a configuration, that need more headers. */
const COOKIES = { credentials: 'include' }
const DPOP = { dpop: true }
const ONCE = ' (once in each response, errors included)'

/** The broken deployments: name of the line, change, what was seen, the line that fixes it, rule, and configuration. */
const BROKEN = [
  ['preflight', preflight(ORIGIN), `204 for a preflight, no ${ORIGIN}`, `${ORIGIN}: SITE`],
  ['preflight', preflight(ORIGIN, 'https://other.example.com'), /other\.example\.com$/, `${ORIGIN}: SITE`],
  [
    'preflight',
    (s) => (s.preflight.status = 401),
    /^401 for a preflight/,
    /OPTIONS .* without authentication$/,
  ],
  ['preflight', preflight(ORIGIN, '*'), /Allow-Origin: \*$/, `${ORIGIN}: SITE`, COOKIES],
  ['preflight', () => {}, `204 for a preflight, no ${CREDENTIALS}`, `${CREDENTIALS}: true`, COOKIES],
  ['headers', preflight(HEADERS), `no ${HEADERS}`, `${HEADERS}: Authorization, Content-Type`],
  ['headers', preflight(HEADERS, '*'), `${HEADERS}: *`, `${HEADERS}: *, Authorization, Content-Type`],
  [
    'headers',
    preflight(HEADERS, 'X-Own'),
    `${HEADERS}: X-Own`,
    `${HEADERS}: X-Own, Authorization, Content-Type`,
  ],
  [
    'headers',
    preflight(HEADERS, 'authorization'),
    /: authorization$/,
    /: authorization, DPoP, Content-Type$/,
    {},
    DPOP,
  ],
  [
    'headers',
    withCookies(HEADERS, 'Authorization, *'),
    /: Authorization, \*$/,
    /, DPoP, Content-Type$/,
    COOKIES,
    DPOP,
  ],
  ['methods', preflight(METHODS, 'GET, PATCH'), `${METHODS}: GET, PATCH`, `${METHODS}: GET, PATCH, PUT`],
  ['methods', withCookies(METHODS, '*'), `${METHODS}: *`, `${METHODS}: *, GET, PUT`, COOKIES],
  [
    'redirect',
    (s) => Object.assign(s.response, { status: 302, headers: { Location: '/v2/?a=b' } }),
    '302, a redirect to SITE/v2/?a=b, which was not followed',
    '"url": "SITE/v2/"',
  ],
  ['response', response(ORIGIN), `no ${ORIGIN}`, `${ORIGIN}: SITE${ONCE}`],
  ['response', withCookies(CREDENTIALS), `no ${CREDENTIALS}`, `${CREDENTIALS}: true${ONCE}`, COOKIES],
  ['exposed', () => {}, `no ${EXPOSED}`, `${EXPOSED}: WWW-Authenticate`, { stepUp: true }],
  ['exposed', response('DPoP-Nonce', 'n'), `no ${EXPOSED}`, `${EXPOSED}: DPoP-Nonce`, {}, DPOP],
  [
    'exposed',
    response(EXPOSED, 'ETag'),
    `${EXPOSED}: ETag`,
    `${EXPOSED}: ETag, WWW-Authenticate`,
    { stepUp: true },
  ],
  [
    'exposed',
    withCookies(EXPOSED, '*'),
    `${EXPOSED}: *`,
    `${EXPOSED}: *, WWW-Authenticate`,
    { ...COOKIES, stepUp: true },
  ],
  ['no-store', response('Cache-Control', 'public, max-age=60'), /max-age=60$/, 'Cache-Control: no-store'],
  ['no-store', response('Age', '12'), /^Age: 12, from a cache/, 'Cache-Control: no-store'],
  ['echo', (s) => (s.response.body = 'echo'), /X-Request-Marker/, /echo off$/],
]

for (const [name, change, seen, fix, rule = {}, config = {}] of BROKEN) {
  test(`api.${name}: ${seen} ${JSON.stringify({ ...rule, ...config })}`, async () => {
    const report = await look(change, rule, config)
    // An API that allows no cookies in a preflight allows none in its responses.
    const isAlso = (id) => rule.credentials === 'include' && id.endsWith('response')
    assertFault(report, `api.0.${name}`, seen, fix, isAlso, 'api.')
  })
}

for (const [value, seen] of [
  [undefined, /^no Access-Control-Max-Age/],
  ['0', /: 0$/],
]) {
  test(`api.preflight-age: ${value} is slower, and no fault`, async () => {
    const { by, ofApi } = await look(preflight('Access-Control-Max-Age', value))
    assert.equal(by['api.0.preflight-age'].result, 'slow')
    assert.match(by['api.0.preflight-age'].seen, seen)
    assert.match(by['api.0.preflight-age'].fix, /^Access-Control-Max-Age: 7200$/)
    assert.deepEqual(faultsIn({ lines: ofApi }), [])
  })
}

test('api.headers: the line names what the preflight does not allow', async () => {
  const { by } = await look(preflight('Access-Control-Allow-Headers', 'X-Own'), {}, { dpop: true })
  assert.equal(
    by['api.0.headers'].text,
    "the API's preflight does not allow the header Authorization or DPoP",
  )
})

test('api.response: no server', async () => {
  const gone = await listen({ handler: () => {} })
  await gone.close()
  const { by } = await look(undefined, { url: `${gone.origin}/v1/` })
  assert.match(by['api.0.response'].seen, /ECONNREFUSED/)
  assert.match(by['api.0.response'].fix, /correct the rule's url/)
})

test('what is right in another way is right', async () => {
  for (const [change, rule, config] of [
    [
      (s) => {
        preflight(ORIGIN, '*')(s)
        response(ORIGIN, '*')(s)
      },
    ],
    [preflight('Access-Control-Allow-Methods', '*')],
    [response('Cache-Control')],
    [response('Cache-Control', 'public, max-age=0, must-revalidate')],
    [response('Cache-Control', 'private, max-age=60')],
    [response('Age', '0')],
    [response('Access-Control-Expose-Headers', 'WWW-Authenticate'), { stepUp: true }],
    [
      (s) => {
        response('DPoP-Nonce', 'n')(s)
        response('Access-Control-Expose-Headers', 'dpop-nonce')(s)
      },
      {},
      { dpop: true },
    ],
    [withCookies('Access-Control-Max-Age', '600'), { credentials: 'include' }],
    [response('Cache-Control', 'max-age=60'), { cache: true, reflection: 'allow' }],
  ]) {
    const { ofApi } = await look(change, rule, config)
    assert.deepEqual(
      ofApi.filter(({ result }) => result === 'fault'),
      [],
      String(change),
    )
  }
})

test('an API that answers preflights for the asked method only gets one for each method', async () => {
  const asked = []
  const other = await listen({
    handler: (request, response) => {
      const method = request.headers['access-control-request-method']
      if (method) asked.push(method)
      const origin = { [ORIGIN]: '*' }
      response
        .writeHead(204, {
          ...origin,
          'Access-Control-Allow-Headers': 'authorization',
          'Access-Control-Allow-Methods': method ?? '',
          'Access-Control-Max-Age': '600',
        })
        .end()
    },
  })
  const { by } = await look(undefined, { url: `${other.origin}/`, methods: ['GET', 'PUT', 'DELETE'] })
  await other.close()
  assert.equal(by['api.0.methods'].result, 'ok')
  assert.deepEqual(asked, ['PUT', 'DELETE'])
})

test('a rule without a safe method gets no call', async () => {
  const { by } = await look(undefined, { methods: ['POST'] })
  assert.equal(by['api.0.response'].result, 'unseen')
  assert.deepEqual(
    api.asked.map(({ method }) => method),
    ['OPTIONS'],
  )
})

test('an API at whose address no server responds is one fault', async () => {
  const { ofApi } = await look(undefined, { url: 'http://127.0.0.1:1/v1/' })
  const faults = ofApi.filter(({ result }) => result === 'fault')
  assert.deepEqual(
    faults.map(({ id }) => id),
    ['api.0.response'],
  )
  assert.match(faults[0].fix, /^correct the rule's url/)
})

test('an API on the app’s own origin needs no CORS', async () => {
  const { by, ofApi } = await look(undefined, { url: '/v1/' })
  assert.equal(by['api.0.preflight'].result, 'unused')
  assert.deepEqual(faultsIn({ lines: ofApi }), [])
})
