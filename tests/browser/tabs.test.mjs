// Several tabs share one vault in a SharedWorker. The end of one tab does not affect the other tabs, unless the worker
// crashes with this tab. capabilities/tabs.mjs of the engines has what each tab sees.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { booted, call, signIn, signInByPopup, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { crash } from '../support/device.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 90_000 }

/**
 * Code of a worker that counts the ports that it received and has not closed. The worker reports the count when a page
 * asks for it.
 */
const COUNT = `
let open = 0
const { close } = MessagePort.prototype
MessagePort.prototype.close = function () {
  open -= 1
  channel.postMessage(open)
  return close.call(this)
}
const watch = (port) => port.addEventListener('message', ({ data }) => (open += data === 'strongroom'))
addEventListener('connect', ({ ports: [port] }) => watch(port))
const channel = new BroadcastChannel('count')
channel.onmessage = () => channel.postMessage(open)
`

let app
let orders

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  app.site.files['/count.js'] = COUNT
  app.setWorker(`import '/count.js'
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})`)
  orders = `${app.api.url}orders`
})
after(() => app?.close())
beforeEach(() => app.api.clear())

/** Resolves with the first tab, in which the user signs in, and further tabs. */
async function tabs(count) {
  const first = await app.open()
  await signIn(first)
  const others = await Promise.all(
    Array.from({ length: count - 1 }, async () => {
      const tab = await app.open('/', first.context())
      await booted(tab)
      return tab
    }),
  )
  return [first, ...others]
}

const session = (page) => page.evaluate(() => auth.session)
const status = async (page) => (await call(page, orders)).value?.status

/** Resolves when the vault has this many open ports. */
const portsAre = (page, wanted) =>
  page.evaluate((count) => {
    const channel = new BroadcastChannel('count')
    return new Promise((resolve) => {
      channel.onmessage = ({ data }) => data === count && resolve(channel.close())
      channel.postMessage('?')
    })
  }, wanted)

const ports = (page) =>
  page.evaluate(() => {
    const channel = new BroadcastChannel('count')
    return new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data)
      channel.postMessage('?')
    })
  })

for (const persist of ['memory', 'sealed']) {
  // claim: everyday-1
  test(`the only tab is left during a refresh: the successor is adopted, ${persist}`, time, async () => {
    const own = await startApp({
      provider: { accessTokenSeconds: 2 },
      config: { session: { persist } },
    })
    try {
      const page = await own.open()
      await signIn(page)
      await own.provider.letAccessTokenExpire()
      let answer
      const hold = new Promise((resolve) => (answer = resolve))
      own.provider.faults.add('token', { hold })
      void call(page, `${own.api.url}orders`).catch(() => {})
      await own.provider.faults.taken()
      await page.goto('about:blank')
      const answered = own.ledger.until(({ type }) => type === 'token_request')
      answer()
      assert.equal((await answered).outcome, 'issued')
      await page.goto(own.site.origin)
      await booted(page)
      assert.equal((await call(page, `${own.api.url}orders`)).value.status, 200)
      assert.deepEqual(
        own.ledger.refreshes().map(({ presented, issued }) => [presented, issued]),
        [[1, 2]],
      )
    } finally {
      await own.close()
    }
  })
}

leftOut('a crashed tab’s port and calls end', time, async () => {
  const [first, second, third] = await tabs(3)
  await portsAre(first, 3)
  // The stream is so long that it does not end by itself.
  await second.evaluate((api) => {
    globalThis.reading = auth.fetch(`${api}stream?n=100000&interval=10`).then((response) => response.text())
  }, app.api.url)
  await second.evaluate((url) => auth.fetch(url).then(() => {}), orders)
  const streaming = await until(() => app.api.requests.find(({ path }) => path.startsWith('/v1/stream')))
  await crash(second)
  await Promise.all([portsAre(first, 2), streaming.closed])
  assert.equal(streaming.aborted, true)
  assert.deepEqual(await Promise.all([first, third].map(status)), [200, 200])
  assert.equal((await session(third)).claims.sub, 'alice')
})

// claim: everyday-1
test('after a crash of the worker’s tab the others reconnect', time, async () => {
  const own = await startApp({ extendedLifetime: false, config: { session: { persist: 'sealed' } } })
  try {
    const first = await own.open()
    // The test signs in by popup. After a navigation to the provider and back, the tab might run in another process
    // than the worker.
    await signInByPopup(first)
    const second = await own.open('/', first.context())
    await booted(second)
    const calling = call(second, `${own.api.url}slow?ms=60000`)
    await crash(first)
    assert.equal((await calling).error.code, 'vault_crashed')
    await second.evaluate(() => auth.reconnect())
    assert.equal(await second.evaluate(() => auth.session.claims.sub), 'alice')
    assert.equal((await call(second, `${own.api.url}orders`)).value.status, 200)
  } finally {
    await own.close()
  }
})

test('control: without Web Locks a crash goes unnoticed', time, async () => {
  const [first] = await tabs(1)
  await first.context().addInitScript(() => {
    Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })
  })
  const second = await app.open('/', first.context())
  await booted(second)
  await portsAre(first, 2)
  await crash(second)
  const third = await app.open('/', first.context())
  await booted(third)
  assert.equal(await ports(first), 3)
})

leftOut('a page that connects repeatedly leaves no ports behind', time, async () => {
  const [first, second] = await tabs(2)
  for (let n = 0; n < 5; n++) {
    await second.evaluate(async () => (await connect(create.shared())).close())
    await second.reload()
    await booted(second)
  }
  await portsAre(first, 2)
  assert.equal(await status(second), 200)
})
