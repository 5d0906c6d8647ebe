/**
 * Compares the token handler as a proxy with the proxies that teams already run:
 *
 *   cargo xtask bench proxies [--only small,lines] [--rounds 9] [--users] [--markdown]
 *
 * Each cell is the processor time of a proxy's processes, divided by that of the plain Node proxy (`plain.mjs`) in the
 * same round: the median of these ratios, with the lowest and the highest. The proxies take turns, because other load on
 * the machine then affects all of them. `--users` adds 1,000 sessions in turn, which takes 1,000 logins for each proxy.
 */
import { Agent, request as open } from 'node:http'
import { parseArgs } from 'node:util'
import { startProvider } from '../../tests/support/provider.mjs'
import { Visitor } from '../../tests/support/edge/visitor.mjs'
import { memoryOf, processorTime } from '../edge/processor.mjs'
import { describeMachine } from '../machine.mjs'
import { ratios } from '../stats.mjs'
import { short, table } from '../table.mjs'
import { CALLBACKS, CONTENDERS, MISSING, ORIGIN, SECRET, startContender } from './contenders.mjs'
import { startUpstream } from './upstream.mjs'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    users: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
  },
})

const ROUNDS = Number(options.rounds)
const STREAMS = 1000
const EVENTS = 5
const MANY = 1000
const BIG = Buffer.alloc(10_000_000, 'x')

/** The rows. `count` is the number of requests, or of sign-ins, in a round. */
const ROWS = {
  small: { title: 'small `GET`', count: 320, atOnce: 16, warmUp: 8 },
  ...(options.users && {
    users: { title: `small \`GET\`, ${MANY} users`, path: 'small', count: MANY, atOnce: 16 },
  }),
  json: { title: '1 MB of JSON', count: 12 },
  line: { title: '1 MB of base64url', count: 12 },
  lines: { title: '1 MB of base64url in lines of 64', count: 12 },
  upload: { title: '10 MB up', count: 2, body: BIG },
  events: { title: `an event of ${STREAMS} streams`, count: STREAMS * EVENTS },
  login: { title: 'sign-in', count: 5 },
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 })

/** Sends a request. Resolves with the response when its body has arrived. */
const exchange = (url, headers, body) =>
  new Promise((resolve, reject) => {
    const length = body && { 'content-length': body.length, origin: ORIGIN }
    const method = body ? 'POST' : 'GET'
    const request = open(url, { agent, method, headers: { ...headers, ...length } }, (response) => {
      response.resume().on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve(response)
        else reject(new Error(`${url} answered ${response.statusCode}`))
      })
    })
    request.on('error', reject)
    request.end(body)
  })

/** Opens an event stream. Resolves with its response, whose bytes are not read yet. */
const openStream = (url, headers) =>
  new Promise((resolve, reject) => {
    const request = open(url, { agent: false, headers }, (response) =>
      resolve(response.on('error', () => {})),
    )
    request.on('error', reject)
    request.end()
  })

const visitorOf = ({ url }) => new Visitor({ origin: ORIGIN, urls: [url] })

const cookieOf = ({ cookies }) => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')

/** Signs a user in. Resolves with the session's cookies. */
async function signIn(proxy) {
  if (!proxy.login) return ''
  const visitor = visitorOf(proxy)
  const { address } = await visitor.authorize(proxy.login, { until: ({ pathname }) => pathname === '/home' })
  if (address.pathname !== '/home') throw new Error(`${proxy.name}: the sign-in ended at ${address}`)
  return cookieOf(visitor)
}

const headersWith = (cookie) => ({
  // The handler would note the user's activity with a cookie that is older than a minute.
  'x-strongroom': 'background',
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'cors',
  accept: 'application/json',
  'accept-language': 'en',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0',
  ...(cookie && { cookie }),
})

/** Runs `count` tasks, `atOnce` at a time. */
async function atOnce(count, atOnce, task) {
  let next = 0
  const run = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, run))
}

/** Resolves with the processor time of the events of many streams. */
async function sendEvents(proxy, upstream) {
  const streams = []
  await atOnce(STREAMS, 50, async () => {
    const response = await openStream(`${proxy.url}${proxy.path}events`, headersWith(proxy.cookie))
    if (response.statusCode !== 200) throw new Error(`${proxy.name}: ${response.statusCode}`)
    streams.push(response)
  })
  let events = 0
  let arrived = () => {}
  for (const stream of streams) {
    stream.on('data', (data) => {
      events += data.toString().split('data:').length - 1
      arrived()
    })
  }
  const start = processorTime(proxy.pids)
  for (let sent = 1; sent <= EVENTS; sent++) {
    upstream.sendEvents()
    await new Promise((resolve) => {
      arrived = () => events === sent * STREAMS && resolve()
    })
  }
  const time = processorTime(proxy.pids) - start
  proxy.memory = Math.max(proxy.memory ?? 0, memoryOf(proxy.pids))
  for (const stream of streams) stream.destroy()
  return time
}

/** Resolves with the processor time of a row for one proxy, in milliseconds. */
async function measure(row, proxy, upstream) {
  const { path = row, count, body } = ROWS[row]
  if (row === 'events') return sendEvents(proxy, upstream)
  const start = processorTime(proxy.pids)
  if (row === 'login') {
    for (let i = 0; i < count; i++) await signIn(proxy)
  } else {
    const url = `${proxy.url}${proxy.path}${path}`
    await atOnce(count, ROWS[row].atOnce ?? 1, (i) =>
      exchange(url, headersWith(row === 'users' ? proxy.users[i] : proxy.cookie), body),
    )
  }
  return processorTime(proxy.pids) - start
}

function progress(what) {
  console.error(`${String(Math.round(performance.now() / 1000)).padStart(4)} s  ${what}`)
}

const servers = async () => {
  const upstream = await startUpstream()
  const provider = await startProvider({
    audience: 'urn:strongroom:test:orders',
    allowedOrigins: [],
    accessTokenSeconds: 7200,
    clients: [
      {
        client_id: 'web',
        client_name: 'The app',
        client_secret: SECRET,
        token_endpoint_auth_method: 'client_secret_basic',
        id_token_signed_response_alg: 'ES256',
        redirect_uris: CALLBACKS.map((path) => ORIGIN + path),
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
  })
  return { upstream, provider, parts: { issuer: provider.origin, upstream: upstream.origin } }
}

/** Starts all proxies, each with a signed-in user. */
async function startAll(parts) {
  const proxies = {}
  for (const [name, { as, path = '/api/' }] of Object.entries(CONTENDERS)) {
    progress(`start: ${name}`)
    if (as) {
      proxies[name] = { ...proxies[as], name, path, isSecond: true }
      continue
    }
    const proxy = { name, path, ...(await startContender(name, { ...parts, refreshSeconds: 3600 })) }
    proxy.cookie = await signIn(proxy)
    if (options.users) {
      proxy.users = []
      for (let i = 0; i < MANY; i++) proxy.users.push(await signIn(proxy))
    }
    proxies[name] = proxy
  }
  return proxies
}

const ratio = ({ median, min, max }) => `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`

async function compare() {
  const { upstream, provider, parts } = await servers()
  const proxies = Object.values(await startAll(parts))
  const names = proxies.map(({ name }) => name)
  const lines = []
  let base
  for (const row of Object.keys(ROWS)) {
    if (options.only && !options.only.split(',').includes(row)) continue
    const times = proxies.map(() => [])
    // Only proxies with sessions sign in, and the first of them is compared with the others.
    const isMeasured = (proxy) => row !== 'login' || (proxy.login && !proxy.isSecond)
    for (let round = -(ROWS[row].warmUp ?? 1); round < ROUNDS; round++) {
      progress(`${row}, round ${round}`)
      for (const [i, proxy] of proxies.entries()) {
        if (!isMeasured(proxy)) continue
        const time = await measure(row, proxy, upstream)
        if (round >= 0) times[i].push(time)
      }
    }
    base = times.find((all) => all.length)
    const cells = times.map((all) =>
      all.length && all !== base ? ratio(ratios(all, base)) : all.length ? '1' : '',
    )
    const micros = (base.toSorted((a, b) => a - b)[base.length >> 1] * 1000) / ROWS[row].count
    progress(`${row}: one takes ${short(micros)} µs in ${names[times.indexOf(base)]}`)
    lines.push([ROWS[row].title, ...cells])
  }
  const plainMemory = proxies[0].memory
  if (plainMemory)
    lines.push([
      `memory with ${STREAMS} streams`,
      ...proxies.map(({ memory, isSecond }) =>
        isSecond || !memory ? '' : (memory / plainMemory).toFixed(2),
      ),
    ])
  const bytes = proxies.map(({ cookie, isSecond }) => (cookie && !isSecond ? `${cookie.length}` : ''))
  lines.push(['bytes of cookies', ...bytes])
  for (const { stop, isSecond } of proxies) if (!isSecond) await stop()
  lines.push(['200 requests on an expired token', ...(await storms(provider, parts))])
  await provider.close()
  await upstream.stop()
  return table(['', ...names], lines, options)
}

/** Resolves with the responses and the provider's calls of a storm, for each proxy. */
async function storms(provider, parts) {
  const cells = []
  for (const [name, { as }] of Object.entries(CONTENDERS)) {
    if (as || name.startsWith('plain')) {
      cells.push('')
      continue
    }
    progress(`storm: ${name}`)
    provider.settings.accessTokenSeconds = 3
    const proxy = { name, path: '/api/', ...(await startContender(name, { ...parts, refreshSeconds: 3 })) }
    proxy.cookie = await signIn(proxy)
    await new Promise((resolve) => setTimeout(resolve, 5000))
    provider.settings.accessTokenSeconds = 7200
    const before = provider.ledger.refreshes().length
    const headers = headersWith(proxy.cookie)
    const calls = Array.from({ length: 200 }, () => exchange(`${proxy.url}/api/checked`, headers))
    const served = (await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length
    cells.push(`${served} served, ${provider.ledger.refreshes().length - before} calls`)
    await proxy.stop()
  }
  return cells
}

const compared = await compare()
console.log(`${describeMachine()}\n\n${compared}\n`)
console.log(
  `Processor time of the proxies, divided by that of plain Node; for a sign-in, by that of the handler on Node.`,
)
for (const line of MISSING) console.log(line)
agent.destroy()
process.exit(0)
