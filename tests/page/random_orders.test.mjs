// Random orders of events between a page and its vaults: in the end the page shows the stored session, every promise
// has settled, and nothing happens after close(). FROM and COUNT choose the seeds, and STEPS the length of an order.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { fakePage, settled, storage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

const page = fakePage()
mock.timers.enable({ apis: ['setTimeout'] })
const { connect, createAuth } = await load('page/connect.ts', 'page/auth/create-auth.ts')
mock.method(console, 'error', () => {})
mock.method(console, 'warn', () => {})

/** The store that all vaults share. */
let store
let clock = 1
let workers
class Vault extends EventTarget {
  ports = []
  isEnded = false
  #unlock
  constructor(responds) {
    super()
    this.responds = responds
    const held = new Promise((resolve) => (this.#unlock = resolve))
    navigator.locks.request((this.lock = `worker ${Math.random()}`), () => held)
    workers.push(this)
  }
  postMessage(_, [port]) {
    if (this.isEnded) return
    this.ports.push(port)
    port.postMessage(this.lock)
    port.onmessage = ({ data }) => Array.isArray(data) && this.receive(port, JSON.parse(data[0]))
  }
  send(port, message) {
    if (!this.isEnded) port.postMessage([JSON.stringify(message)])
  }
  all(message) {
    for (const port of this.ports) this.send(port, message)
  }
  receive(port, message) {
    if (this.isEnded) return
    if (message.t === 'hello') {
      port.greeted = true
      if (this.responds) this.ready(port)
    }
    if (message.t === 'logout') {
      store = { session: null, reason: 'logged_out' }
      for (const worker of workers) worker.all({ t: 'session', ...store })
      this.send(port, { t: 'done', id: message.id, revoked: true })
    }
    if (message.t === 'inspect') this.send(port, { t: 'inspection', id: message.id, holdings: [] })
    if (message.t === 'fetch')
      this.send(port, { t: 'error', id: message.id, code: 'url_not_allowed', message: '' })
    if (message.t === 'bye') {
      port.close()
      this.ports = this.ports.filter((one) => one !== port)
    }
  }
  ready(port) {
    this.send(port, { t: 'ready', version: 1, ...store })
  }
  wake() {
    this.responds = true
    for (const port of this.ports) if (port.greeted) this.ready(port)
  }
  fail(code) {
    this.all({ t: 'failed', code, message: '' })
    this.isEnded = true
    this.#unlock()
  }
  terminate() {
    this.isEnded = true
    this.#unlock()
    for (const port of this.ports) port.close()
  }
}

const random = (seed) => () => {
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed / 2147483648
}

async function run(seed, kind) {
  const next = random(seed)
  for (let i = 0; i < 5; i++) next()
  workers = []
  store = { session: { claims: { sub: 'alice' }, startedAt: ++clock }, reason: null }
  const log = []
  const events = []
  const promises = []
  const make = () => new Vault(!made.length || next() < 0.6)
  const made = workers
  let client, auth
  if (kind === 'auth') {
    auth = createAuth({ dedicated: make })
    auth.subscribe(({ status, session, error }) =>
      events.push(`${status} ${session?.claims.sub} ${error?.code}`),
    )
    await auth.connect()
  } else {
    client = await connect(make, { timeout: 10 })
    client.on('change', ({ session }) => events.push(session?.claims.sub ?? null))
    client.on('failed', ({ code }) => events.push(code))
  }
  const track = (name, promise) => {
    const entry = { name, state: 'pending' }
    promise.then(
      () => (entry.state = 'ok'),
      (error) => (entry.state = error.code ?? error),
    )
    promises.push(entry)
  }
  let isAway = false
  const live = () => made.filter((one) => !one.isEnded)
  const pick = () => live()[Math.floor(next() * live().length)]
  const actions = {
    outdated: () => pick()?.all({ t: 'outdated' }),
    stop: () => pick()?.fail('vault_outdated'),
    crash: () => pick()?.fail('vault_crashed'),
    die: () => pick()?.terminate(),
    wake: () => pick()?.wake(),
    leave() {
      if (!isAway) page.leave()
      isAway = true
    },
    restore() {
      if (isAway) page.restore()
      isAway = false
    },
    logout: () => !isAway && track('logout', (auth ?? client).logout()),
    inspect: () =>
      !isAway && track('inspect', auth ? auth.connect().then((one) => one.inspect()) : client.inspect()),
    outdated2: () => pick()?.all({ t: 'outdated' }),
    post: () =>
      !isAway &&
      track('post', (auth ?? client).fetch('https://app.example/x', { method: 'POST', body: 'x' })),
    reconnect: () => !isAway && track('reconnect', (auth ?? client).reconnect()),
    guard: () =>
      auth &&
      !isAway &&
      store.session &&
      track('guard', auth.requireSession({ mode: 'device', onCode() {}, timeout: 5 })),
    signIn() {
      store = {
        session: { claims: { sub: next() < 0.5 ? 'alice' : 'bob' }, startedAt: ++clock },
        reason: null,
      }
      for (const worker of workers) worker.all({ t: 'session', ...store })
    },
    tick: () => mock.timers.tick(11_000),
    wait: settled,
    wait2: settled,
  }
  const names = Object.keys(actions)
  for (let step = 0; step < Number(process.env.STEPS ?? 12); step++) {
    const name = names[Math.floor(next() * names.length)]
    log.push(name)
    await actions[name]()
    if (next() < 0.5) await settled()
  }
  // Everything works again.
  actions.restore()
  for (let i = 0; i < 6; i++) {
    for (const one of live()) one.wake()
    await settled()
    mock.timers.tick(11_000)
    await settled()
    mockNow += 61_000
  }
  for (const one of live()) one.wake()
  await settled()
  track('last', (auth ?? client).reconnect())
  for (let i = 0; i < 4; i++) {
    for (const one of live()) one.wake()
    await settled()
  }
  const shown = (auth ? auth.state.session : client.session)?.claims.sub ?? null
  const context = `${kind} ${seed}: ${log.join(' ')} | ${events.join(', ')} | ${promises.map(({ name, state }) => `${name} ${state}`).join(', ')}`
  const problems = []
  if (shown !== (store.session?.claims.sub ?? null))
    problems.push(`shows ${shown}, not ${store.session?.claims.sub}`)
  if (auth && (auth.state.status !== 'connected' || auth.state.error))
    problems.push(`is ${auth.state.status} ${auth.state.error?.code}`)
  if (promises.at(-1).state !== 'ok') problems.push(`last ${promises.at(-1).state}`)
  ;(auth ?? client).close()
  await settled()
  const { length } = events
  store = { session: { claims: { sub: 'late' }, startedAt: ++clock }, reason: null }
  for (const worker of workers) worker.all({ t: 'session', ...store })
  for (const one of live()) one.wake()
  await settled()
  mock.timers.tick(700_000)
  await settled()
  if (events.length > length) problems.push('event after close')
  const pending = promises.filter(({ state }) => state === 'pending').map(({ name }) => name)
  if (pending.length) problems.push(`pending ${pending}`)
  const leaked = live().length
  if (leaked > 1) problems.push(`leaked ${leaked}`)
  for (const one of workers) one.terminate()
  await settled()
  return problems.length ? `${problems.join('; ')} — ${context}` : undefined
}

let mockNow = 0
mock.method(performance, 'now', () => mockNow)

for (const kind of ['client', 'auth']) {
  test(`random orders: ${kind}`, async () => {
    const found = []
    const from = Number(process.env.FROM ?? 1)
    for (let seed = from; seed < from + Number(process.env.COUNT ?? 150); seed++) {
      mockNow += 120_000
      globalThis.localStorage = storage()
      const problem = await run(seed * 7919, kind)
      if (problem) found.push(problem)
    }
    assert.deepEqual(found, [])
  })
}
