// `strongroom doctor`: for each line about a rule of `apis`, an API that is wrong in exactly this way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertFault, configFile, doctor, startDeployment } from '../support/doctor.mjs'
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

const preflight = (name, value) => (state) => {
  if (value === undefined) delete state.preflight.headers[name]
  else state.preflight.headers[name] = value
}
const response = (name, value) => (state) => {
  if (value === undefined) delete state.response.headers[name]
  else state.response.headers[name] = value
}
const ORIGIN = 'Access-Control-Allow-Origin'

/** Changes a header of a preflight of an API that allows cookies. */
const withCookies = (name, value) => (state) => {
  const allowed = { 'Access-Control-Allow-Credentials': 'true' }
  for (const reply of [state.preflight, state.response]) Object.assign(reply.headers, allowed)
  preflight(name, value)(state)
}

/** For each line: the change, what was seen, the line that fixes it, the rule, and the configuration. */
const BROKEN = [
  [
    'preflight',
    preflight(ORIGIN),
    /^204 for a preflight, no Access-Control-Allow-Origin$/,
    /^Access-Control-Allow-Origin: http:\/\/localhost:\d+$/,
  ],
  [
    'preflight',
    preflight(ORIGIN, 'https://other.example.com'),
    /other\.example\.com$/,
    /^Access-Control-Allow-Origin: http:\/\/localhost:\d+$/,
  ],
  [
    'preflight',
    (s) => (s.preflight.status = 401),
    /^401 for a preflight/,
    /respond to OPTIONS .* without authentication$/,
  ],
  [
    'preflight',
    (s) => {
      preflight(ORIGIN, '*')(s)
    },
    /Allow-Origin: \*$/,
    /^Access-Control-Allow-Origin: http/,
    { credentials: 'include' },
  ],
  [
    'headers',
    preflight('Access-Control-Allow-Headers', '*'),
    /^Access-Control-Allow-Headers: \*$/,
    /^Access-Control-Allow-Headers: \*, Authorization, Content-Type$/,
  ],
  [
    'preflight',
    () => {},
    /^204 for a preflight, no Access-Control-Allow-Credentials$/,
    /^Access-Control-Allow-Credentials: true$/,
    { credentials: 'include' },
  ],
  [
    'headers',
    withCookies('Access-Control-Allow-Headers', 'Authorization, *'),
    /: Authorization, \*$/,
    /, DPoP, Content-Type$/,
    { credentials: 'include' },
    { dpop: true },
  ],
  [
    'methods',
    withCookies('Access-Control-Allow-Methods', '*'),
    /: \*$/,
    /^Access-Control-Allow-Methods: \*, GET, PUT$/,
    { credentials: 'include' },
  ],
  [
    'response',
    (s) => {
      withCookies('Access-Control-Max-Age', '600')(s)
      response('Access-Control-Allow-Credentials')(s)
    },
    /^no Access-Control-Allow-Credentials$/,
    /^Access-Control-Allow-Credentials: true \(once in each response, errors included\)$/,
    { credentials: 'include' },
  ],
  [
    'exposed',
    (s) => {
      withCookies('Access-Control-Max-Age', '600')(s)
      response('Access-Control-Expose-Headers', '*')(s)
    },
    /: \*$/,
    /^Access-Control-Expose-Headers: \*, WWW-Authenticate$/,
    { credentials: 'include', stepUp: true },
  ],
  ['headers', preflight('Access-Control-Allow-Headers'), /^no /, /: Authorization, Content-Type$/],
  [
    'headers',
    preflight('Access-Control-Allow-Headers', 'Content-Type, X-Own'),
    /: Content-Type, X-Own$/,
    /: Content-Type, X-Own, Authorization$/,
  ],
  [
    'headers',
    preflight('Access-Control-Allow-Headers', 'authorization'),
    /: authorization$/,
    /: authorization, DPoP, Content-Type$/,
    {},
    { dpop: true },
  ],
  [
    'methods',
    preflight('Access-Control-Allow-Methods', 'GET, PATCH'),
    /: GET, PATCH$/,
    /^Access-Control-Allow-Methods: GET, PATCH, PUT$/,
  ],
  [
    'redirect',
    (s) => Object.assign(s.response, { status: 302, headers: { Location: '/v2/?a=b' } }),
    /^302, a redirect to .*\/v2\/\?a=b, which was not followed$/,
    /^"url": "http:\/\/127\.0\.0\.1:\d+\/v2\/"$/,
  ],
  [
    'response',
    response(ORIGIN),
    /^no Access-Control-Allow-Origin$/,
    /^Access-Control-Allow-Origin: .* \(once in each response, errors included\)$/,
  ],
  [
    'exposed',
    () => {},
    /^no Access-Control-Expose-Headers$/,
    /^Access-Control-Expose-Headers: WWW-Authenticate$/,
    { stepUp: true },
  ],
  [
    'exposed',
    response('DPoP-Nonce', 'n'),
    /^no Access-Control-Expose-Headers$/,
    /^Access-Control-Expose-Headers: DPoP-Nonce$/,
    {},
    { dpop: true },
  ],
  [
    'exposed',
    response('Access-Control-Expose-Headers', 'Content-Length'),
    /: Content-Length$/,
    /^Access-Control-Expose-Headers: Content-Length, WWW-Authenticate$/,
    { stepUp: true },
  ],
  ['no-store', response('Cache-Control', 'public, max-age=60'), /max-age=60$/, /^Cache-Control: no-store$/],
  ['no-store', response('Age', '12'), /^Age: 12, from a cache/, /^Cache-Control: no-store$/],
  ['echo', (s) => (s.response.body = 'echo'), /X-Request-Marker/, /echo off$/],
]

for (const [name, change, seen, fix, rule = {}, config = {}] of BROKEN) {
  test(`api.${name} ${change} ${JSON.stringify({ ...rule, ...config })}`, async () => {
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
    assert.ok(ofApi.every(({ result }) => result !== 'fault'))
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
  assert.deepEqual(
    ofApi.filter(({ result }) => result === 'fault'),
    [],
  )
})
