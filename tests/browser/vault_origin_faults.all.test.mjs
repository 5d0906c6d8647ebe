// Tests of failures behind the vault's frame. Pending calls fail with an error, and a failed attempt to connect does
// not affect other attempts.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, giveConsent, signIn, startApp, startLogin } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app
let frame

before(async () => {
  app = await startApp({ vaultOrigin: true, provider: { accessTokenSeconds: 60 } })
  frame = `${app.vault.origin}/frame.html`
})
after(() => app?.close())
afterEach(() => {
  app.provider.faults.clear()
  app.setConfig({})
})

/** Returns the vault's frame in a page. */
const vaultIn = (page) => page.frames().find((each) => each.url() === frame)

/** Returns a worker file whose worker ends silently after a message on the channel `end`. */
const mortal = () => `import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
new BroadcastChannel('end').onmessage = () => close()`

for (const ends of [true, false]) {
  test(
    ends
      ? 'a vault that ends while it finishes a login: handleCallback() rejects with vault_crashed'
      : 'the control: one that goes on finishes it, however long it takes',
    time,
    async () => {
      app.setWorker(mortal())
      const page = await app.open()
      await startLogin(page)
      let answer
      app.provider.faults.add('token', { hold: new Promise((resolve) => (answer = resolve)), when: 'after' })
      const asked = app.provider.faults.taken()
      await giveConsent(page)
      await asked
      if (ends) await vaultIn(page).evaluate(() => new BroadcastChannel('end').postMessage(0))
      else answer()
      const { value, error } = await booted(page)
      assert.deepEqual([value?.returnTo, error?.code], ends ? [undefined, 'vault_crashed'] : ['/', undefined])
      answer()
    },
  )
}

test('a link with a forged state is login_unknown, and the app starts', time, async () => {
  for (const state of ['', 'x', '../../etc', 'a'.repeat(500), `${'a'.repeat(32)};b=c`]) {
    const page = await app.open(`/#strongroom=${state}`)
    assert.equal((await booted(page)).error.code, 'login_unknown', state)
    assert.equal(await page.evaluate(() => location.hash), '')
    await page.context().close()
  }
})

test('one request too many for the frame is limit_exceeded', time, async () => {
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(`${app.site.origin}/empty.html`)
  const { full, more } = await page.evaluate(async (address) => {
    const element = document.createElement('iframe')
    element.src = address
    document.body.append(element)
    await new Promise((resolve) => (element.onload = resolve))
    const { port1, port2 } = new MessageChannel()
    const heard = []
    let told
    port1.onmessage = ({ data }) => (heard.push(data), told?.())
    const next = async (count) => {
      while (heard.length < count) await new Promise((resolve) => (told = resolve))
    }
    element.contentWindow.postMessage('strongroom frame 1', new URL(address).origin, [port2])
    await next(1)
    const state = (n) => String(n).padStart(32, '0')
    // The limit is 64 pending requests. When the page forgets one of them, it can send one more.
    for (let id = 0; id < 64; id++) port1.postMessage({ t: 'await', id, state: state(id) })
    port1.postMessage({ t: 'forget', id: 63 })
    port1.postMessage({ t: 'callback', id: 100, state: state(100) })
    await next(2)
    port1.postMessage({ t: 'await', id: 63, state: state(63) })
    port1.postMessage({ t: 'callback', id: 101, state: state(101) })
    port1.postMessage({ t: 'await', id: 102, state: state(102) })
    await next(4)
    const codes = heard.slice(1).map(({ id, code }) => `${id} ${code}`)
    return { full: codes.slice(1), more: codes[0] }
  }, frame)
  assert.equal(more, '100 login_unknown')
  assert.deepEqual(full, ['101 limit_exceeded', '102 limit_exceeded'])
})

test('a failed attempt leaves the frame to another one in flight', time, async () => {
  // This worker starts its vault only after a message on the channel `go`.
  app.setWorker(`import { vault } from '/strongroom/worker.js'
await new Promise((resolve) => (new BroadcastChannel('go').onmessage = resolve))
vault(${JSON.stringify(app.config)})`)
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(`${app.site.origin}/empty.html`)
  // The first attempt has a long time limit and loads the frame. The second attempt has a short time limit, and waits
  // only for the worker.
  const navigated = page.waitForEvent('framenavigated', (each) => each.url() === frame)
  await page.evaluate((address) => {
    globalThis.patient = connectFrame(address, { timeout: 30 })
  }, frame)
  await (await navigated).waitForLoadState()
  const failed = await page.evaluate((address) => settle(connectFrame(address, { timeout: 0.5 })), frame)
  assert.equal(failed.error.code, 'worker_timeout')
  assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 1)
  // The message is repeated, because the worker may not listen yet.
  await vaultIn(page).evaluate(() => {
    const channel = new BroadcastChannel('go')
    setInterval(() => channel.postMessage(0), 50)
  })
  const session = await page.evaluate(() => patient.then((auth) => auth.session))
  assert.equal(session, null)
})

test('a failed attempt leaves the frame to its client', time, async () => {
  const page = await app.open()
  await signIn(page)
  // No worker can meet this time limit.
  const { error } = await page.evaluate((address) => settle(connectFrame(address, { timeout: 0 })), frame)
  assert.equal(error.code, 'worker_timeout')
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  await page.evaluate((address) => connectFrame(address), frame)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
})

test('a time limit that no timer can keep is refused', time, async () => {
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(`${app.site.origin}/empty.html`)
  const { error } = await page.evaluate(
    (address) => settle(connectFrame(address, { timeout: Infinity })),
    frame,
  )
  assert.equal(error.code, 'message_invalid')
  assert.match(error.message, /^timeout is a number of seconds from 0 to 2147483, and was Infinity\./)
})

test('the last failed attempt removes the frame', time, async () => {
  app.setWorker('await new Promise(() => {})')
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(`${app.site.origin}/empty.html`)
  const codes = await page.evaluate(async (address) => {
    const attempts = [0.2, 0.5].map((timeout) => settle(connectFrame(address, { timeout: timeout + 8 })))
    return (await Promise.all(attempts)).map(({ error }) => error.code)
  }, frame)
  assert.deepEqual(codes, ['worker_timeout', 'worker_timeout'])
  assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 0)
})

for (const file of ['/frame.html', '/frame.js']) {
  test(`connects although the server fails twice for ${file}`, time, async () => {
    const page = await (await app.browser.newContext()).newPage()
    await page.goto(`${app.site.origin}/empty.html`)
    const failure = { status: 502, headers: { 'Content-Type': 'text/html' }, body: 'Bad gateway', times: 2 }
    app.vault.override(file, failure)
    const { length } = await page.evaluate(() => ({ length: history.length }))
    const { error } = await page.evaluate((address) => settle(connectFrame(address).then(() => 0)), frame)
    assert.equal(error, undefined)
    const left = () => [document.querySelectorAll('iframe').length, history.length]
    assert.deepEqual(await page.evaluate(left), [1, length])
  })
}
