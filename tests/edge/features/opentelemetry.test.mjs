// A process with OpenTelemetry has one trace from the browser's request to the API, and the documented metrics.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startServer } from '../../support/edge/child.mjs'
import { startCollector } from '../../support/edge/collector.mjs'
import { ORIGIN, publicClient, startPublicProvider } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'
import { namesInPrometheus } from '../../support/edge/prometheus.mjs'
import { until } from '../../support/until.mjs'

const time = { timeout: 120_000 }
const APP = fileURLToPath(new URL('../apps/traced.mjs', import.meta.url))

/** The raw headers of the API's requests. */
const seen = []
let provider, collector, api, app, alice

const guide = () => readFile(new URL('../../../docs/edge-observe.md', import.meta.url), 'utf8')

const startApp = (env = {}) => {
  const config = {
    ...publicClient(provider),
    routes: [{ prefix: '/api/', upstream: `${api.origin}/` }],
  }
  const all = { COLLECTOR: collector.origin, CONFIG: JSON.stringify(config), ...env }
  return startServer(process.execPath, [APP], { env: all, cwd: process.cwd() })
}

const signedIn = async (app) => {
  const visitor = new Visitor({ origin: ORIGIN, urls: [app.said.url] })
  await visitor.signIn()
  return visitor
}

/** Sends a request with a `traceparent` of the browser. Returns the browser's trace ID, and those that the API got. */
const callTraced = async (visitor) => {
  const trace = randomBytes(16).toString('hex')
  const parent = randomBytes(8).toString('hex')
  seen.length = 0
  const headers = { traceparent: `00-${trace}-${parent}-01` }
  const response = await visitor.call('/api/orders', { headers })
  assert.equal(response.status, 200)
  const raw = seen[0]
  const values = raw.filter((_, i) => i % 2 === 1 && raw[i - 1].toLowerCase() === 'traceparent')
  return { trace, parent, values }
}

before(async () => {
  collector = await startCollector()
  api = await listen({
    handler(request, response) {
      seen.push(request.rawHeaders)
      response.end('[]')
    },
  })
  provider = await startPublicProvider({ accessTokenSeconds: 2 })
  app = await startApp()
  alice = await signedIn(app)
}, time)
after(async () => {
  await app?.stop()
  await Promise.all([provider, api, collector].map((server) => server?.close()))
})

test('one trace leads from the browser to the API', time, async () => {
  const { trace, parent, values } = await callTraced(alice)
  assert.equal(values.length, 1)
  const [, seenTrace, seenParent] = values[0].split('-')
  assert.equal(seenTrace, trace)
  const { server, client } = await until(() => {
    const spans = collector.spans().filter(({ traceId }) => traceId === trace)
    const server = spans.find(({ parentSpanId }) => parentSpanId === parent)
    const client = spans.find(({ spanId }) => spanId === seenParent)
    return server && client && { server, client }
  })
  assert.equal(client.parentSpanId, server.spanId)
})

test('control: without the observer the API gets two trace parents', time, async (t) => {
  const plain = await startApp({ PLAIN: '1' })
  t.after(() => plain.stop())
  const { values } = await callTraced(await signedIn(plain))
  assert.notEqual(values.join(','), values[0])
})

test('metrics have the documented names and units', time, async () => {
  await alice.call('/auth/logout', { method: 'POST' })
  await alice.call('/api/orders')
  const metrics = await until(() => {
    const metrics = collector.metrics()
    return metrics.has('strongroom.session.ended') && metrics.has('strongroom.request.refused') && metrics
  })
  const lines = await guide()
  for (const [name, { unit, points }] of metrics) {
    const row = lines.split('\n').find((line) => line.startsWith(`| \`${name}\` |`))
    assert.ok(row, `${name} is not documented`)
    assert.ok(row.includes(`| \`${unit}\` |`), row)
    for (const attribute of points.flatMap(({ attributes }) => Object.keys(attributes)))
      assert.ok(row.includes(`\`${attribute}\``), `${name}: ${attribute}`)
  }
  const ended = metrics.get('strongroom.session.ended').points
  const counts = Object.fromEntries(
    ended.map(({ attributes, count }) => [attributes['strongroom.reason'], count]),
  )
  // An alert sees an increase only of a counter that is there before.
  assert.deepEqual(counts, { security: 0, storage_lost: 0, logged_out: 1 })
  assert.deepEqual(metrics.get('strongroom.session.began').points[0].count, 1)
  const [login] = metrics.get('strongroom.login.duration').points
  // Seconds, and not milliseconds.
  assert.ok(login.sum > 0 && login.sum < 30, `${login.sum}`)
})

test('login, callback and refresh are spans', time, async () => {
  const visitor = await signedIn(app)
  await until(async () => {
    await visitor.call('/api/orders')
    return collector.spans().some(({ name }) => name === 'strongroom.refresh')
  })
  for (const name of ['strongroom.login', 'strongroom.callback', 'strongroom.refresh']) {
    const span = collector.spans().find((span) => span.name === name)
    assert.ok(span.parentSpanId, `${name} belongs to a request`)
    assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano))
  }
  const refresh = collector.spans().find(({ name }) => name === 'strongroom.refresh')
  assert.equal(refresh.attributes['strongroom.result'], 'renewed')
})

// claim: handler-61
test('no token, cookie or code is in what is exported', time, async () => {
  const visitor = await signedIn(app)
  const exported = JSON.stringify([...collector.metrics(), collector.spans()])
  assert.ok(exported.includes('strongroom.login'))
  const issued = provider.ledger.tokens().map(({ value }) => value)
  const secrets = [...visitor.cookies.values(), ...issued].filter(({ length }) => length > 20)
  assert.ok(secrets.length > 4)
  for (const secret of secrets) assert.ok(!exported.includes(secret))
})

test('dashboard and alerts use documented metrics and attributes', time, async () => {
  const known = new Set()
  for (const [, name, unit, rest] of (await guide()).matchAll(
    /^\| `(strongroom[\w.]+)` \| `(.+?)` \| (.+) \|$/gm,
  )) {
    for (const metric of namesInPrometheus(name, unit, rest)) known.add(metric)
    for (const [, attribute] of rest.matchAll(/`([\w.]+)`/g)) known.add(attribute.replaceAll('.', '_'))
  }
  for (const file of ['dashboard.json', 'alerts.yml']) {
    const text = await readFile(new URL(`../../../examples/observe/${file}`, import.meta.url), 'utf8')
    const used = [...text.matchAll(/\b(strongroom_\w+|error_type|http_response_\w+)/g)].map(([name]) => name)
    assert.ok(used.length > 5)
    for (const name of used) assert.ok(known.has(name), `${file}: ${name}`)
  }
})
