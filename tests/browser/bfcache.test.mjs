// The vault forgets pages that the browser leaves, even if they are in the back-forward cache. The vault accepts pages
// that the browser restores from this cache.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { comeBack, goBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { leftOut } from '../support/combinations.mjs'
import { killWorkers } from '../support/device.mjs'
import { played } from '../support/retries.mjs'

const time = { timeout: 60_000 }

/**
 * Code of a worker that counts the ports that it received and has not closed. The worker reports the count when a page
 * asks for it.
 */
const COUNT = `
let open = 0
const { close } = MessagePort.prototype
MessagePort.prototype.close = function () {
  open -= 1
  return close.call(this)
}
const watch = (port) => port.addEventListener('message', ({ data }) => (open += data === 'strongroom'))
addEventListener('connect', ({ ports: [port] }) => watch(port))
watch(self)
const channel = new BroadcastChannel('count')
channel.onmessage = () => channel.postMessage(open)
`

const apps = {}
let app
let orders

before(async () => {
  const [shared, dedicated] = await Promise.all([
    startApp({ launch: WITH_CACHE }),
    startApp({ launch: WITH_CACHE, kind: 'dedicated' }),
  ])
  Object.assign(apps, { shared, dedicated })
  for (const each of [shared, dedicated]) each.site.files['/count.js'] = COUNT
  app = shared
  orders = `${app.api.url}orders`
})
after(() => Promise.all(Object.values(apps).map((each) => each.close())))

const counting = ({ config }, late = 0) => `
import '/count.js'
import { vault } from '/strongroom/worker.js'
setTimeout(() => vault(${JSON.stringify(config)}), ${late})
`

/** Resolves with the number of the vault's open ports. The page that asks does not need a port. */
const portsOpen = (page) =>
  page.evaluate(() => {
    const channel = new BroadcastChannel('count')
    return new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data)
      channel.postMessage('?')
    })
  })

/** Navigates to another page of the site. */
const leave = (page, { site } = app) => page.goto(`${site.origin}/empty`)

/** Resolves with a page that the user has left signed in. */
async function leftPage() {
  const page = await app.open()
  await signIn(page)
  await mark(page)
  await leave(page)
  return page
}

for (const kind of ['shared', 'dedicated']) {
  test(
    `a restored page works again, ${kind}`,
    time,
    played(async () => {
      const own = apps[kind]
      const page = await own.open()
      await signIn(page)
      await mark(page)
      for (let n = 0; n < 3; n++) {
        await leave(page, own)
        await comeBack(page)
        assert.equal((await call(page, `${own.api.url}orders`)).value.status, 200)
        assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
      }
      assert.deepEqual(await page.evaluate(() => failures), [])
    }),
  )
}

leftOut(
  'ports do not accumulate over page visits',
  time,
  played(async () => {
    app.setWorker(counting(app))
    const page = await app.open()
    const other = await app.open('/empty', page.context())
    for (let n = 0; n < 10; n++) {
      await page.goto(`${app.site.origin}/?${n}`)
      await booted(page)
      await mark(page)
      await leave(page)
      await comeBack(page)
      await page.evaluate(() => settle(auth.inspect()))
    }
    assert.equal(await portsOpen(other), 1)
    await leave(page)
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)))
    assert.equal(await portsOpen(other), 0)
    app.setConfig({})
  }),
)

leftOut(
  'a restored page gets the events that it missed',
  time,
  played(async () => {
    const page = await leftPage()
    const other = await app.open('/', page.context())
    await booted(other)
    await other.evaluate(() => auth.logout())
    await comeBack(page)
    await page.waitForFunction(() => auth.session === null)
    assert.deepEqual(await page.evaluate(() => changes.at(-1)), { session: null, reason: 'logged_out' })
    assert.equal((await call(page, orders)).error.code, 'login_required')
  }),
)

leftOut(
  'a restored page detects that its worker was terminated',
  time,
  played(async () => {
    const page = await leftPage()
    await killWorkers(page)
    await goBack(page)
    const { error } = await call(page, orders)
    assert.equal(error.code, 'vault_crashed')
    assert.deepEqual(await page.evaluate(() => failures.map(({ code }) => code)), ['vault_crashed'])
    await page.evaluate(() => auth.reconnect())
    assert.equal((await call(page, orders)).error.code, 'login_required')
  }),
)

leftOut(
  'page_left: requests in flight when the page is left',
  time,
  played(async () => {
    const page = await app.open()
    await signIn(page)
    await mark(page)
    await page.evaluate(async (api) => {
      const reading = (await auth.fetch(`${api}stream?n=1000&interval=100`)).text()
      const waiting = auth.fetch(`${api}slow?ms=20000`)
      globalThis.atLeaving = new Promise((resolve) =>
        addEventListener('pagehide', () => resolve(settle(auth.fetch(`${api}orders`)))),
      )
      globalThis.pending = Promise.all([settle(reading), settle(waiting), atLeaving])
    }, app.api.url)
    await leave(page)
    await comeBack(page)
    const outcomes = await page.evaluate(() => pending)
    assert.deepEqual(
      outcomes.map(({ error }) => error?.code),
      ['page_left', 'page_left', 'page_left'],
    )
    assert.equal((await call(page, orders)).value.status, 200)
  }),
)

leftOut(
  'a page left during the handshake connects when it is restored',
  time,
  played(async () => {
    app.setWorker(counting(app, 1000))
    const page = await app.open()
    await mark(page)
    await leave(page)
    await comeBack(page)
    assert.deepEqual(await booted(page), { value: null })
    assert.equal((await call(page, orders)).error.code, 'login_required')
    app.setConfig({})
  }),
)

leftOut(
  'a connection that was closed stays closed',
  time,
  played(async () => {
    const page = await app.open()
    await booted(page)
    await page.evaluate(() => auth.close())
    await mark(page)
    await leave(page)
    await comeBack(page)
    assert.equal((await call(page, orders)).error.code, 'closed')
  }),
)

// claim: script-18
test('a worker keeps at most 512 ports, including silent ones', time, async () => {
  app.setWorker(`
import { vault } from '/strongroom/worker.js'
const { close, postMessage } = MessagePort.prototype
let closed = 0
let told = 0
MessagePort.prototype.close = function () {
  closed += 1
  return close.call(this)
}
MessagePort.prototype.postMessage = function (...message) {
  if (/"failed"/.test(message[0][0])) told += 1
  return postMessage.apply(this, message)
}
const channel = new BroadcastChannel('crash')
channel.onmessage = () => {
  try {
    vault({})
  } catch {}
  channel.postMessage({ closed, told })
}
setTimeout(() => vault(${JSON.stringify(app.config)}))
`)
  const page = await app.open()
  await booted(page)
  const ports = await page.evaluate(() => {
    const worker = create.shared()
    for (let n = 0; n < 600; n++) worker.port.postMessage('strongroom', [new MessageChannel().port2])
    const channel = new BroadcastChannel('crash')
    return new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data)
      setTimeout(() => channel.postMessage('now'), 500)
    })
  })
  // The worker keeps 512 of the 601 ports, and tells the others. The connected page's own port was silent for the longest
  // time, so it is among the closed ports.
  assert.deepEqual(ports, { closed: 601 - 512, told: 601 })
  assert.equal((await call(page, orders)).error.code, 'limit_exceeded')
  assert.deepEqual(
    (await page.evaluate(() => failures)).map(({ code }) => code),
    ['limit_exceeded'],
  )
  app.setConfig({})
})
