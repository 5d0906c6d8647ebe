// A vault may end by a trap, by its own `close()`, or because the system kills it. In each case no call hangs, and the
// next vault starts without a session, unless the session was stored.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, signIn, startApp, waitUntil } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'
import { crash, killWorkers } from '../support/device.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated']

/** Code of a worker that ends after a message on the channel `end`: by a real trap, or silently with `close()`. */
const ENDS = `
const bytes = Uint8Array.of(0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,5,1,3,0,0,11)
const trap = WebAssembly.instantiate(bytes).then(({ instance }) => instance.exports.f)
new BroadcastChannel('end').onmessage = async ({ data }) => (data === 'trap' ? setTimeout(await trap) : close())
`
const worker = (config) => `import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(config)})
${ENDS}`

const apps = {}

before(async () => {
  for (const kind of KINDS) {
    apps[kind] = await startApp({ kind, extendedLifetime: false })
    apps[kind].setWorker(worker(apps[kind].config))
  }
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

const orders = (app) => `${app.api.url}orders`
const session = (page) => page.evaluate(() => auth.session)

/** Kills the worker from outside, as the system does when memory is short. */
const kill = (app, page) => killWorkers(page)

const told = (how) => (app, page) => page.evaluate((way) => new BroadcastChannel('end').postMessage(way), how)

const WAYS = [
  ['a trap', 'shared', told('trap')],
  ['a trap', 'dedicated', told('trap')],
  ['its own close()', 'shared', told('close')],
  ['its own close()', 'dedicated', told('close')],
  ['the system', 'shared', kill],
]

/** Starts a call, and starts to read a streamed response that does not end. */
const beginAll = (page, app) =>
  page.evaluate(async (api) => {
    const streaming = await auth.fetch(`${api}stream?n=1000&interval=100`)
    const reader = streaming.body.getReader()
    await reader.read()
    const toTheEnd = async () => {
      while (!(await reader.read()).done);
    }
    globalThis.pending = [settle(auth.fetch(`${api}slow?ms=60000`)), settle(toTheEnd())]
    globalThis.failed = new Promise((resolve) => auth.on('failed', (error) => resolve(describe(error))))
  }, app.api.url)

for (const [how, kind, end] of WAYS) {
  test(`${kind} worker, ended by ${how}: pending calls reject, and reconnect() works`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    await beginAll(page, app)
    await end(app, page)
    const failure = await page.evaluate(() => failed)
    assert.equal(failure.code, 'vault_crashed')
    assert.match(failure.message, /reconnect\(\)/)
    const outcomes = await page.evaluate(() => Promise.all(pending))
    assert.deepEqual(
      outcomes.map(({ error }) => error.code),
      ['vault_crashed', 'vault_crashed'],
    )
    assert.equal(await session(page), null)
    assert.equal((await call(page, orders(app))).error.code, 'vault_crashed')

    assert.deepEqual(await page.evaluate(() => settle(auth.reconnect())), { value: undefined })
    assert.equal(await session(page), null)
    assert.equal((await call(page, orders(app))).error.code, 'login_required')
    // The page's client object stays in use after `reconnect()`.
    assert.equal((await page.evaluate(() => failures)).length, 1)
    await signIn(page)
    assert.equal((await call(page, orders(app))).value.status, 200)
    await page.close()
  })
}

// All ways in which a worker ends are alike here, so a run without `--all` tests one.
for (const [how, kind, end] of ALL ? WAYS : WAYS.slice(0, 1)) {
  leftOut(`change is emitted when a vault fails and on reconnect(), ${kind}, ${how}`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    await page.evaluate(() => {
      globalThis.heard = []
      auth.on('change', ({ session, reason }) => heard.push(['change', session, reason]))
      auth.on('failed', ({ code }) => heard.push(['failed', code]))
    })
    await end(app, page)
    await page.waitForFunction(() => heard.some(([type]) => type === 'failed'), null, { polling: 20 })
    const failure = [
      ['failed', 'vault_crashed'],
      ['change', null, null],
    ]
    assert.deepEqual(await page.evaluate(() => heard), failure)
    await page.evaluate(() => auth.reconnect())
    assert.deepEqual(await page.evaluate(() => heard), [...failure, ['change', null, null]])
    await page.close()
  })
}

/** Returns a worker file. Its worker searches the core's memory for a string when a page asks for it. */
const searchable = (config) => `import { vault } from '/strongroom/worker.js'
const { Instance } = WebAssembly
let memory
WebAssembly.Instance = function (...args) {
  const instance = new Instance(...args)
  memory ??= instance.exports.memory
  return instance
}
vault(${JSON.stringify(config)})
${ENDS}
const channel = new BroadcastChannel('memory')
channel.onmessage = ({ data }) => {
  const bytes = new Uint8Array(memory.buffer)
  const text = new TextDecoder('latin1').decode(bytes)
  channel.postMessage({ hasToken: text.includes(data), isZero: bytes.every((byte) => byte === 0) })
}`

/**
 * Searches the core's memory for a token. Resolves with `hasToken`, and with `isZero`, which is true if every byte is
 * zero. This function runs in the page.
 */
const searchMemory = (token) =>
  new Promise((resolve) => {
    const channel = new BroadcastChannel('memory')
    channel.onmessage = ({ data }) => resolve(data)
    channel.postMessage(token)
  })

// claim: script-25
test('a trap wipes the memory of the core', time, async (t) => {
  const app = apps.dedicated
  app.setWorker(searchable(app.config))
  t.after(() => app.setWorker(worker(app.config)))
  const page = await app.open()
  await signIn(page)
  const token = app.ledger.newest('refresh_token').value
  assert.deepEqual(await page.evaluate(searchMemory, token), { hasToken: true, isZero: false })
  await told('trap')(app, page)
  await page.waitForFunction(() => failures.length, null, { polling: 20 })
  assert.deepEqual(await page.evaluate(searchMemory, token), { hasToken: false, isZero: true })
  await page.close()
})

leftOut('a vault that fails without a session emits no change', time, async () => {
  const app = apps.dedicated
  const page = await app.open()
  await booted(page)
  const before = await page.evaluate(() => changes.length)
  await told('trap')(app, page)
  await page.waitForFunction(() => failures.length, null, { polling: 20 })
  assert.equal(await page.evaluate(() => changes.length), before)
  await page.close()
})

leftOut('every tab learns that its shared worker was killed', time, async () => {
  const app = apps.shared
  const first = await app.open()
  await signIn(first)
  const tabs = [first]
  for (let n = 0; n < 2; n++) tabs.push(await app.open('/', first.context()))
  await Promise.all(tabs.map(booted))
  await kill(app, first)
  for (const tab of tabs) {
    await tab.waitForFunction(() => failures.length, null, { polling: 20 })
    assert.deepEqual(await tab.evaluate(() => failures.map(({ code }) => code)), ['vault_crashed'])
  }
  // All tabs reconnect to one new vault.
  await Promise.all(tabs.map((tab) => tab.evaluate(() => auth.reconnect())))
  const changed = tabs[2].evaluate(() => new Promise((resolve) => auth.on('change', resolve)))
  await tabs[1].evaluate(() => void auth.login({ mode: 'redirect' }))
  await giveConsent(tabs[1])
  assert.equal((await changed).session.claims.sub, 'alice')
  await Promise.all(tabs.map((tab) => tab.close()))
})

leftOut('a crashed tab does not affect the others', time, async () => {
  const app = apps.shared
  const page = await app.open()
  await signIn(page)
  const other = await app.open('/', page.context())
  await booted(other)
  // Control: both tabs use one vault.
  assert.equal((await session(other)).claims.sub, 'alice')
  await crash(other)
  assert.equal((await call(page, orders(app))).value.status, 200)
  await page.close()
})

leftOut('reconnect() restores a stored session', time, async () => {
  const app = apps.dedicated
  app.setWorker(worker({ ...app.config, session: { persist: 'sealed' } }))
  const page = await app.open()
  await signIn(page)
  await told('trap')(app, page)
  await page.waitForFunction(() => failures.length, null, { polling: 20 })
  await page.evaluate(() => auth.reconnect())
  assert.equal((await session(page)).claims.sub, 'alice')
  assert.equal((await page.evaluate(() => changes.at(-1))).session.claims.sub, 'alice')
  assert.equal((await call(page, orders(app))).value.status, 200)
  app.setWorker(worker(app.config))
})

/**
 * Steals each lock that a worker of the origin holds, and then releases the lock, as any script of a page can. With
 * `ofPages`, steals the locks of pages. This function runs in the page.
 */
const stealLocks = async (ofPages) => {
  const { held } = await navigator.locks.query()
  const form = ofPages ? /^strongroom [0-9.e-]+$/ : /^[0-9a-f-]{36}$/
  const names = held.map(({ name }) => name).filter((name) => form.test(name))
  for (const name of names) await navigator.locks.request(name, { steal: true }, () => {})
  return names.length
}

leftOut('a page whose worker’s lock was stolen reconnects at most once', time, async () => {
  const app = apps.shared
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => {
    globalThis.times = 0
    auth.on('failed', () => times++ < 50 && auth.reconnect())
  })
  const other = await app.open('/empty', page.context())
  assert.equal(await other.evaluate(stealLocks), 1)
  // After the theft, either the page or the worker may get the lock first.
  const isAnswered = (url) =>
    auth.fetch(url).then(
      ({ status }) => status === 200,
      () => false,
    )
  await waitUntil(page, isAnswered, `${app.api.url}slow?ms=1500`)
  assert.ok((await page.evaluate(() => times)) <= 1)
  // Control experiment: the lock has a holder again, from which it can be stolen.
  assert.equal(await other.evaluate(stealLocks), 1)
  await page.context().close()
})

for (const kind of KINDS) {
  // claim: script-33
  test(`a page whose own lock was stolen connects again, ${kind}, and repeats no call`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    const other = await app.open('/empty', page.context())
    const begun = app.api.requests.length
    const sent = () => app.api.requests.slice(begun).filter(({ path }) => path.includes('slow')).length
    for (const [round, last] of [false, false, false, true].entries()) {
      await beginAll(page, app)
      // On a slow machine, the theft could come before the request.
      await until(() => sent() > round)
      assert.equal(await other.evaluate(stealLocks, true), 1)
      const outcomes = await page.evaluate(() => Promise.all(pending))
      for (const { error } of outcomes) {
        assert.equal(error.code, 'page_left')
        assert.match(error.message, /script of this origin has stolen the lock/)
      }
      if (last) break
      // The page has a new port.
      assert.equal((await call(page, orders(app))).value.status, 200)
      assert.equal((await session(page)).claims.sub, 'alice')
    }
    // After the fourth theft in a minute, the page gives up.
    const failure = await page.evaluate(() => failed)
    assert.equal(failure.code, 'vault_crashed')
    assert.match(failure.message, /script of this origin has stolen the lock/)
    assert.equal(sent(), 4)
    assert.deepEqual(await page.evaluate(() => settle(auth.reconnect())), { value: undefined })
    await page.context().close()
  })
}

leftOut('unsupported: reconnect() after connect() with a worker object', time, async () => {
  const app = apps.dedicated
  const page = await app.open('/empty')
  const { error } = await page.evaluate(async () => {
    const auth = await connect(create.dedicated())
    const failed = new Promise((resolve) => auth.on('failed', resolve))
    // Waits until the page has requested the worker's lock, which happens a moment after the vault is ready.
    while (!(await navigator.locks.query()).pending.length)
      await new Promise((resolve) => setTimeout(resolve, 10))
    new BroadcastChannel('end').postMessage('close')
    await failed
    return settle(auth.reconnect())
  })
  assert.equal(error.code, 'unsupported')
  assert.ok(error.isStrongroomError)
  assert.match(error.message, /function/)
})

test('a control: without the worker’s lock a page hangs', time, async () => {
  const app = apps.shared
  const context = await app.browser.newContext()
  await context.addInitScript(() => {
    LockManager.prototype.request = () => new Promise(() => {})
  })
  const page = await app.open('/', context)
  await signIn(page)
  await beginAll(page, app)
  await kill(app, page)
  const waited = await page.evaluate(() =>
    Promise.race([...pending, failed, new Promise((resolve) => setTimeout(resolve, 2000, 'nothing'))]),
  )
  assert.equal(waited, 'nothing')
})
