/**
 * Compares the token handler with other software, in one run:
 *
 *   cargo xtask bench edge [--only requests|bound|size|cold|proxy|race] [--markdown]
 *
 * Contenders take turns, because other load on the machine then slows all of them. Each round gives a ratio. The table
 * has the median of these ratios, with the lowest and the highest ratio in brackets. ✓ and ✗ show if this run meets the
 * project's aim. The command succeeds even if the run misses the aim.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startApp } from '../../tests/support/edge/app.mjs'
import { Device } from '../../tests/support/edge/device.mjs'
import { options, progress, run } from '../sections.mjs'
import { ratios, spread } from '../stats.mjs'
import { comparisonTable, milliseconds, short, speedRatio, table, timeRatio } from '../table.mjs'
import { BY_HAND } from './contenders.mjs'
import { get, release, storm } from './load.mjs'
import { processorTime } from './processor.mjs'
import { AIM, measureOwn, measurePeers, sizeTable } from './sizes.mjs'
import { BIG, startUpstream } from './upstream.mjs'

const APP = new URL('app.mjs', import.meta.url)
const PLATFORMS = ['workerd', 'node']
const ROUNDS = 11

/** Signs a user in. Resolves when the browser is back at the app. */
const signIn = (visitor) =>
  visitor.signIn({ returnTo: '/home', until: ({ pathname }) => pathname === '/home' })

/**
 * Resolves with a function. This function resolves with the cookie of a user who signed in at most 25 seconds ago, and
 * signs a user in if the last cookie is older. With a cookie that is older than a minute, the handler would also record
 * the user's activity.
 */
async function fresh(cookie) {
  let [current, since] = [await cookie(), performance.now()]
  return async () => {
    if (performance.now() - since > 25_000) [current, since] = [await cookie(), performance.now()]
    return current
  }
}

const headerOf = ({ cookies }) => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')

/** Runs `use` with a platform's handler and the cookies of signed-in users. */
async function withSession(platform, startOptions, use) {
  const app = await startApp(platform, { app: APP, isolates: 1, ...startOptions })
  try {
    const cookie = async () => {
      const visitor = app.visitor()
      await signIn(visitor)
      return headerOf(visitor)
    }
    return await use({ app, cookie, url: app.urls[0] })
  } finally {
    release()
    await app.stop()
  }
}

/** The number of sessions that take turns. An isolate keeps at most 1024 opened cookies, each for five seconds. */
const MANY = 1000

/** Signs users in, and brings their cookies to the app. */
async function signInMany({ app, url }) {
  const visitor = app.visitor()
  const cookies = []
  while (cookies.length < MANY) {
    visitor.cookies.clear()
    await signIn(visitor)
    cookies.push(headerOf(visitor))
  }
  await fetch(`${url}/cookies`, { method: 'POST', body: JSON.stringify(cookies) })
}

const routesTo = (upstream) => [
  { prefix: '/api/', upstream: `${upstream}/v1/` },
  { prefix: '/open/', upstream: `${upstream}/v1/`, reflection: 'allow' },
]

const LONG = { provider: { accessTokenSeconds: 3600 }, coordinator: 'in-isolate' }

/** The processor time of one batch of a contender, in milliseconds. */
const BATCH = 40

/**
 * Lets contenders take turns. Resolves with the processor times of each in microseconds, for one request.
 *
 * @param {string} url The handler of `app.mjs`.
 * @param {{ what: string, headers: () => Promise<Record<string, string>> }[]} contenders
 */
async function takeTurns(url, contenders) {
  const batch = async ({ what, headers }, count) => {
    const address = `${url}/repeat?what=${encodeURIComponent(what)}&count=${count}`
    const fields = await headers()
    const start = processorTime()
    const { status } = await get(address, fields)
    if (status !== 204) throw new Error(`${url}, ${what}: ${status}`)
    return processorTime() - start
  }
  const counts = []
  for (const contender of contenders) {
    await batch(contender, 2000)
    const time = await batch(contender, 1000)
    counts.push(Math.max(100, Math.ceil((BATCH * 1000) / time)))
  }
  const times = contenders.map(() => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, contender] of contenders.entries()) {
      await batch(contender, 1)
      times[i].push(((await batch(contender, counts[i])) * 1000) / counts[i])
    }
  }
  return times
}

const GUARDED = 'strongroom, guarded'

async function requests(platform) {
  const handler = { routes: routesTo('https://api.example.com') }
  return withSession(platform, { ...LONG, handler }, async ({ app, url, cookie }) => {
    progress(`requests, ${platform}: ${MANY} logins`)
    await signInMany({ app, url })
    progress(`requests, ${platform}`)
    const own = { one: 'strongroom', many: `strongroom, ${MANY} sessions` }
    const peers = [...BY_HAND, 'decryption']
    const names = [own.one, own.many, GUARDED, ...peers]
    const session = await fresh(cookie)
    const all = await takeTurns(
      url,
      names.map((what) => ({ what, headers: async () => ({ cookie: await session() }) })),
    )
    const times = Object.fromEntries(names.map((name, i) => [name, all[i]]))
    const row = (name, peer, called = peer) => ({
      what: `${platform}, ${name === own.many ? `${MANY} sessions` : 'one session'}`,
      own: microseconds(times[name]),
      peer: `${called} ${microseconds(times[peer])}`,
      ratio: timeRatio(ratios(times[name], times[peer])),
      aim: peer === BY_HAND[0] ? 2 : undefined,
    })
    const rows = [
      row(own.one, GUARDED),
      row(own.many, own.one, 'one session'),
      ...peers.flatMap((peer) => [row(own.one, peer), row(own.many, peer)]),
    ]
    return { rows, bytes: (await session()).length }
  })
}

const microseconds = (times) => `${short(spread(times).median)} µs (from ${short(spread(times).min)})`

async function measureRequests() {
  const rows = []
  let bytes
  for (const platform of PLATFORMS) {
    const measured = await requests(platform)
    rows.push(...measured.rows)
    ;({ bytes } = measured)
  }
  const note =
    `A request of a signed-in user, with a cookie of ${bytes} bytes: decrypted, checked, and sent to an upstream that ` +
    'responds immediately without a network, whose response is returned. The handler keeps an opened cookie for five ' +
    `seconds, so with one session it decrypts almost none, and with ${MANY} in turn it decrypts some. The others do the ` +
    'same by hand, decrypt the session each time with that library, and check only its time. "decryption" is only that, ' +
    'of the same number of bytes.'
  return `${comparisonTable(rows, options)}\n\n${note}`
}

/** Measures requests of a bound and of an unbound session, and renewals of the bound cookie. */
async function bound(platform) {
  const handler = { routes: routesTo('https://api.example.com'), session: { bind: 'if-supported' } }
  return withSession(platform, { ...LONG, handler }, async ({ app, url, cookie }) => {
    const signInBound = async () => {
      const visitor = app.visitor()
      const { response } = await signIn(visitor)
      const device = new Device(app.origin, (path, options) => visitor.send(path, options))
      await device.register(response)
      const renewal = await device.renewalRequest()
      // The next response sets a cookie that says that the session is bound.
      await visitor.session()
      return { cookie: headerOf(visitor), 'x-renewal': JSON.stringify(renewal) }
    }
    const [without, withBinding] = [await fresh(cookie), await fresh(signInBound)]
    const unbound = async () => ({ cookie: await without() })
    const names = ['strongroom, guarded', 'unbound, guarded', BY_HAND[0], 'renewal', 'verification']
    const headers = [withBinding, unbound, unbound, withBinding, unbound]
    const times = await takeTurns(
      url,
      names.map((what, i) => ({ what, headers: headers[i] })),
    )
    const [own, other, byHand, renewal, verification] = times
    return [
      ['request, bound', own, 'unbound', other],
      ['request, bound', own, BY_HAND[0], byHand],
      ['request, unbound', other, BY_HAND[0], byHand],
      ['renewal', renewal, 'ES256 verification alone', verification],
      ['renewal', renewal, `a request with ${BY_HAND[0]}`, byHand],
    ].map(([what, own, name, peer]) => ({
      what: `${platform}: ${what}`,
      own: microseconds(own),
      peer: `${name} ${microseconds(peer)}`,
      ratio: timeRatio(ratios(own, peer)),
    }))
  })
}

async function measureBound() {
  const rows = []
  for (const platform of PLATFORMS) {
    progress(`bound sessions, ${platform}`)
    rows.push(...(await bound(platform)))
  }
  const note =
    'Requests on a route whose responses are searched, of two handlers that differ only in `session.bind`. The bound request ' +
    'also has the bound cookie. A renewal verifies a signed challenge, and responds with the next cookie and the next challenge.'
  return `${comparisonTable(rows, options)}\n\n${note}`
}

async function measureSize() {
  progress('size')
  const own = await measureOwn()
  const verdict = `aim: ${AIM / 1024} KB ${own.gzip <= AIM ? '✓' : '✗'}`
  return `${sizeTable(own, await measurePeers(), options)}\n\n${verdict}`
}

const execute = promisify(execFile)

async function measureCold() {
  progress('cold start')
  const starts = []
  for (let i = 0; i < ROUNDS; i++) {
    const { stdout } = await execute(process.execPath, [
      fileURLToPath(new URL('cold.mjs', import.meta.url)),
      '../../pkg/dist',
    ])
    starts.push(JSON.parse(stdout))
  }
  const of = (key) => spread(starts.map((start) => start[key]))
  const both = of('both')
  const rows = [
    ['Node: load the script', milliseconds(of('load')), ''],
    ['Node: compile the module', milliseconds(of('compile')), ''],
    ['Node: instantiate, and read the configuration', milliseconds(of('ready')), ''],
    ['Node: the first request after that', milliseconds(of('first')), ''],
    ['Node: both together', milliseconds(both), aim(both.median, 5, 'ms')],
  ]
  progress('cold start, workerd')
  const isolates = 12
  const differences = await withSession('workerd', { ...LONG, isolates }, async ({ app }) => {
    const fields = { 'x-strongroom': '1' }
    const time = async (url) => {
      const start = processorTime()
      await get(`${url}/api/orders`, fields)
      return processorTime() - start
    }
    const measured = []
    for (const url of app.urls) {
      // These requests open the connection and start the isolate, so that the measured time includes neither.
      await get(`${url}/told`, {})
      await get(`${url}/told`, {})
      const first = await time(url)
      const later = [await time(url), await time(url), await time(url)]
      measured.push(first - spread(later).median)
    }
    return spread(measured)
  })
  rows.push([
    'workerd: the first request, on top of the next',
    milliseconds(differences),
    aim(differences.median, 5, 'ms'),
  ])
  return table(['', 'time', 'aim'], rows, options)
}

const aim = (value, bound, unit) => `${bound} ${unit} ${value <= bound ? '✓' : '✗'}`

async function measureProxy() {
  const upstream = await startUpstream()
  const rows = []
  try {
    for (const platform of PLATFORMS) {
      progress(`proxy, ${platform}`)
      const handler = { routes: routesTo(upstream.origin) }
      await withSession(platform, { ...LONG, handler, upstream: `${upstream.origin}/v1/` }, async (app) => {
        for (const [what, path, load, aims] of [
          ['small', 'small', { count: 300, atOnce: 16 }, [0.8, 0.8]],
          ['16 MB', 'big', { count: 2, atOnce: 1, bytes: BIG }, [0.9, 0.6]],
        ]) {
          rows.push(...(await proxied(app, { platform, what, path, load, aims })))
        }
      })
    }
  } finally {
    await upstream.stop()
  }
  const note =
    'Rates are in wall-clock time, which includes this program and the upstream. "each" and the ratio are processor ' +
    'time of the proxy.'
  return `${comparisonTable(rows, options)}\n\n${note}`
}

async function proxied({ url, cookie }, { platform, what, path, load, aims }) {
  const ways = ['/plain/', '/open/', '/api/']
  // Every handler must at least open the session. The handwritten handler does little more.
  if (!load.bytes) ways.push('/by-hand/')
  const session = await fresh(cookie)
  const answer = await fetch(`${url}/by-hand/cookie`, { headers: { cookie: await session() } })
  const byHand = await answer.text()
  const times = ways.map(() => [])
  const costs = ways.map(() => [])
  // Rounds below 0 are a warm-up, in which the engine optimizes the code. Small requests need more of these rounds.
  for (let round = load.bytes ? -2 : -10; round < ROUNDS; round++) {
    for (const [i, way] of ways.entries()) {
      const fields = { 'x-strongroom': '1', cookie: way === '/by-hand/' ? byHand : await session() }
      const start = processorTime()
      const time = await storm(url + way + path, fields, load)
      if (round < 0) continue
      costs[i].push(processorTime() - start)
      times[i].push(time)
    }
  }
  const [plain, ...ours] = times.map((times, i) => ({ times, costs: costs[i] }))
  const speed = ({ times, costs }) => {
    const perSecond = load.count / (spread(times).median / 1000)
    const cost = `${short(spread(costs).median / load.count)} ms each`
    return load.bytes
      ? `${short((perSecond * BIG) / 2 ** 20)} MB/s, ${cost}`
      : `${perSecond.toFixed(0)} requests/s, ${cost}`
  }
  return ours.map((own, i) => ({
    what: `${platform}: ${what}, ${['guard off', 'guard on', `${BY_HAND[0]} in its place`][i]}`,
    own: speed(own),
    peer: `plain proxy ${speed(plain)}`,
    ratio: speedRatio(ratios(plain.costs, own.costs)),
    aim: aims[i],
  }))
}

async function measureRace() {
  const rows = []
  for (const [platform, coordinator] of [
    ['workerd', 'durable-object'],
    ['node', 'node-redis'],
  ]) {
    for (const count of [10, 100, 1000]) {
      progress(`race, ${platform}, ${count}`)
      rows.push(await race(platform, coordinator, count))
    }
  }
  return table(['4 isolates', 'requests', 'calls to the provider', 'served', 'aim', 'time'], rows, options)
}

async function race(platform, coordinator, count) {
  const provider = { accessTokenSeconds: 2 }
  const app = await startApp(platform, { app: APP, isolates: 4, coordinator, provider })
  try {
    const visitor = app.visitor()
    await signIn(visitor)
    // These calls make sure that each isolate has started and has read the session.
    for (let isolate = 0; isolate < 4; isolate++) await visitor.call('/api/me', { isolate })
    const { session } = await visitor.session()
    const left = session.accessTokenExpiresAt - Date.now() + 50
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)))
    // The new access token must not expire before the last request is served.
    app.provider.settings.accessTokenSeconds = 600
    const before = app.provider.ledger.refreshes().length
    const start = performance.now()
    const calls = Array.from({ length: count }, (_none, i) =>
      visitor.copy().call('/api/me', { isolate: i % 4 }),
    )
    const statuses = (await Promise.allSettled(calls)).map(({ value }) => value?.status)
    const time = performance.now() - start
    const served = statuses.filter((status) => status === 200).length
    const refreshes = app.provider.ledger.refreshes().length - before
    const isMet = refreshes === 1 && served === count
    return [
      `${platform}, ${coordinator}`,
      `${count}`,
      `${refreshes}`,
      `${served}`,
      `1, all ${isMet ? '✓' : '✗'}`,
      `${short(time)} ms`,
    ]
  } finally {
    await app.stop()
  }
}

const section = (title, measure) => async () => ({ title, body: await measure() })

await run({
  requests: section('Cost of a request', measureRequests),
  bound: section('Bound sessions', measureBound),
  size: section('What is deployed', measureSize),
  cold: section('The start', measureCold),
  proxy: section('Proxy, from outside, over loopback', measureProxy),
  race: section('Requests on an expired access token', measureRace),
})
