// A vault on its own origin can do everything that a vault on the app's origin can do, except resume a session by a
// hidden frame. The page reaches this vault through the vault's frame. The servers send the headers of
// docs/vault-origin.md.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import {
  booted,
  call,
  clickLogin,
  deny,
  giveConsent,
  signIn,
  signInByPopup,
  startApp,
  startLogin,
} from '../support/app.mjs'

const time = { timeout: 60_000 }

let app
let orders

before(async () => {
  // The scope does not contain offline_access, because the provider would then require consent, and no login would be
  // silent.
  const config = { scope: 'openid profile orders' }
  app = await startApp({ vaultOrigin: true, config, provider: { accessTokenSeconds: 60 } })
  orders = `${app.api.url}orders`
})
after(() => app?.close())
beforeEach(() => app.api.clear())
afterEach(() => {
  app.provider.faults.clear()
  app.setConfig({})
})

const session = (page) => page.evaluate(() => auth.session)
const ended = (page) => page.waitForFunction(() => auth.session === null)
const trips = () => app.ledger.authorizationRequests().length
const cookies = async (page) => (await page.context().cookies(app.vault.origin)).map(({ name }) => name)

test('login by redirect: the code goes only to the vault’s origin', time, async () => {
  const page = await app.open('/?tab=2#part')
  const addresses = []
  page.on('framenavigated', (frame) => frame === page.mainFrame() && addresses.push(frame.url()))
  const outcome = await signIn(page, { returnTo: '/inbox?open=7#top' })
  assert.deepEqual(outcome, { value: { returnTo: '/inbox?open=7#top' } })
  assert.equal(page.url(), `${app.site.origin}/callback`)
  assert.equal((await session(page)).claims.sub, 'alice')
  assert.equal((await call(page, orders)).value.status, 200)
  const ofApp = addresses.filter((address) => address.startsWith(app.site.origin))
  assert.ok(!ofApp.some((address) => /code=/.test(address)), ofApp.join('\n'))
  assert.ok(app.vault.requests.some(({ path, query }) => path === '/callback' && /code=/.test(query)))
})

test('the response’s cookie is host-only, and deleted after use', time, async () => {
  const page = await app.open()
  await startLogin(page)
  const release = app.site.override('/page.js', { body: '' })
  try {
    await giveConsent(page)
    await page.waitForURL(`${app.site.origin}/callback**`)
    const context = page.context()
    const [cookie] = (await context.cookies(app.vault.origin)).filter(({ name }) => /strongroom/.test(name))
    const { name, path, secure, sameSite, domain, expires } = cookie
    assert.match(name, /^__Host-strongroom\./)
    assert.deepEqual(
      { path, secure, sameSite, domain },
      { path: '/', secure: true, sameSite: 'Strict', domain: new URL(app.vault.origin).hostname },
    )
    assert.ok(expires * 1000 < Date.now() + 61_000)
    assert.equal(await page.evaluate(() => document.cookie), '')
    assert.deepEqual(
      (await context.cookies(app.site.origin)).filter(({ name }) => /strongroom/.test(name)),
      [],
    )
  } finally {
    release()
  }
  await page.reload()
  assert.deepEqual(await booted(page), { value: { returnTo: '/' } })
  assert.deepEqual(
    (await cookies(page)).filter((name) => /strongroom/.test(name)),
    [],
  )
})

test('start-up code that runs twice finishes one login', time, async () => {
  const page = await app.open()
  await startLogin(page)
  const usual = app.site.files['/page.js']
  const twice =
    'const again = auth.handleCallback(); const first = await auth.handleCallback(); return [first, await again]'
  const release = app.site.override('/page.js', {
    body: usual.replace('return auth.handleCallback()', twice),
  })
  const exchanges = () => app.ledger.tokenRequests().length
  const before = exchanges()
  try {
    await giveConsent(page)
    await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
    assert.deepEqual(await booted(page), { value: [{ returnTo: '/' }, { returnTo: '/' }] })
  } finally {
    release()
  }
  assert.equal(exchanges() - before, 1)
})

test('login_denied comes back from a redirect and from a popup', time, async () => {
  const page = await app.open()
  await startLogin(page)
  await deny(page)
  await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
  assert.equal((await booted(page)).error.code, 'login_denied')
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
  await deny(popup)
  assert.equal((await page.evaluate(() => login)).error.code, 'login_denied')
})

for (const [mode, login] of Object.entries({ redirect: signIn, popup: signInByPopup })) {
  test(`a pushed request, and its response in the fragment: ${mode}`, time, async () => {
    app.setConfig({ par: true, responseMode: 'fragment' })
    const page = await app.open()
    const { error } = await login(page)
    assert.equal(error, undefined)
    assert.equal((await session(page)).claims.sub, 'alice')
    assert.equal(app.vault.requests.at(-1).query.includes('code='), false)
    assert.doesNotMatch(page.url(), /code=/)
  })
}

test('two simultaneous logins return to their own paths', time, async () => {
  const first = await app.open()
  const second = await app.open('/', first.context())
  await startLogin(first, { returnTo: '/first', prompt: 'login consent' })
  await startLogin(second, { returnTo: '/second', prompt: 'login consent' })
  const through = async (page) => {
    await giveConsent(page)
    await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
    return (await booted(page)).value
  }
  assert.deepEqual(await through(second), { returnTo: '/second' })
  assert.deepEqual(await through(first), { returnTo: '/first' })
})

test('a second tab and a reload have the session, without the provider', time, async () => {
  const page = await app.open()
  await signIn(page)
  const before = trips()
  const second = await app.open('/', page.context())
  await booted(second)
  assert.deepEqual((await session(second)).claims, (await session(page)).claims)
  await second.close()
  await page.goto(`${app.site.origin}/`)
  await page.reload()
  await booted(page)
  assert.equal((await session(page)).claims.sub, 'alice')
  assert.equal(await page.evaluate(() => auth.resumed), 'vault')
  assert.equal((await call(page, orders)).value.status, 200)
  assert.equal(trips(), before)
})

test('logout at the provider comes back to the app', time, async () => {
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => void auth.logout({ provider: true, returnTo: '/' }))
  await page.waitForURL(/\/session\/end/)
  await page.click('button[name=logout]')
  await page.waitForURL(`${app.site.origin}/`)
  await booted(page)
  assert.equal(await session(page), null)
})

test('the provider ends the session: all tabs get the reason', time, async () => {
  const page = await app.open()
  app.setConfig({ scope: 'openid profile offline_access orders' })
  const context = await app.browser.newContext()
  const first = await app.open('/', context)
  await signIn(first)
  const second = await app.open('/', context)
  await booted(second)
  app.provider.faults.add('token', { answer: { status: 400, body: { error: 'invalid_grant' } } })
  await call(first, `${app.api.url}reject`)
  await Promise.all([ended(first), ended(second)])
  for (const tab of [first, second]) {
    assert.equal(await tab.evaluate(() => auth.endReason), 'provider_ended')
  }
  await page.close()
})

test('leaving a page ends only its own calls', time, async () => {
  const page = await app.open()
  await signIn(page)
  const second = await app.open('/', page.context())
  await booted(second)
  await second.evaluate(async (url) => {
    const { body } = await auth.fetch(url)
    await body.getReader().read()
  }, `${app.api.url}stream?n=1000&interval=100`)
  const { closed, ...entry } = app.api.requests.at(-1)
  await second.goto('about:blank')
  await closed
  assert.match(entry.path, /stream/)
  assert.equal((await call(page, orders)).value.status, 200)
})

test('the app detects a lost vault and reconnects', time, async () => {
  const page = await app.open()
  await booted(page)
  const outcome = await page.evaluate(async () => {
    const failed = new Promise((resolve) => auth.on('failed', resolve))
    // The frame is the worker's only client, so the worker ends with the frame.
    document.querySelector('iframe').remove()
    const { code } = await failed
    await auth.reconnect()
    return { code, session: auth.session, frames: document.querySelectorAll('iframe').length }
  })
  assert.deepEqual(outcome, { code: 'vault_crashed', session: null, frames: 1 })
  assert.equal((await call(page, orders)).error.code, 'login_required')
})

test('several clients of a page share one frame', time, async () => {
  const page = await app.open()
  await signIn(page)
  const outcome = await page.evaluate(
    async ([url, frame]) => {
      const clients = await Promise.all([connectFrame(frame), connectFrame(frame)])
      const statuses = await Promise.all(clients.map((each) => each.fetch(url).then(({ status }) => status)))
      clients[0].close()
      const open = await clients[1].fetch(url)
      return { statuses, open: open.status, frames: document.querySelectorAll('iframe').length }
    },
    [orders, `${app.vault.origin}/frame.html`],
  )
  assert.deepEqual(outcome, { statuses: [200, 200], open: 200, frames: 1 })
})

test('its sandbox forbids windows and navigation', time, async () => {
  const page = await app.open()
  await booted(page)
  const frame = page.frames().find((each) => each.url().startsWith(app.vault.origin))
  const outcome = await frame.evaluate(() => {
    const opened = window.open('about:blank')
    try {
      top.location = 'about:blank'
      return { opened, moved: true }
    } catch (error) {
      return { opened, moved: error.name }
    }
  })
  assert.deepEqual(outcome, { opened: null, moved: 'SecurityError' })
})

test('the control: without the sandbox it can do both', time, async () => {
  const page = await app.open()
  await booted(page)
  await page.evaluate((address) => {
    const element = document.createElement('iframe')
    element.src = address
    document.body.append(element)
    return new Promise((resolve) => (element.onload = resolve))
  }, `${app.vault.origin}/frame.html`)
  const frame = page.frames().findLast((each) => each.url().startsWith(app.vault.origin))
  assert.equal(await frame.evaluate(() => typeof window.open('about:blank')?.close), 'function')
  // The frame's script ends when the page navigates, so its result is ignored.
  const moves = frame.evaluate(() => void (top.location = 'about:blank')).catch(() => {})
  await Promise.all([page.waitForURL('about:blank'), moves])
})

test('resume by redirect: the provider’s session is used', time, async () => {
  const resuming = app.site.files['/page.js'].replace('{"timeout":10}', '{"resume":"redirect"}')
  const brief = app.vault.files['/frame.js'].replace('extendedLifetime: true', 'extendedLifetime: false')
  // The worker of the only tab ends with the tab's page.
  const releaseFrame = app.vault.override('/frame.js', { body: brief })
  const page = await app.open()
  await signIn(page)
  await page.goto('about:blank')
  const before = trips()
  const releasePage = app.site.override('/page.js', { body: resuming })
  try {
    await page.goto(`${app.site.origin}/?list=open#third`)
    await page.waitForFunction(() => globalThis.auth?.session)
    assert.deepEqual(await booted(page), { value: { returnTo: '/?list=open#third' } })
    assert.equal(await page.evaluate(() => auth.resumed), 'redirect')
    assert.equal(page.url(), `${app.site.origin}/?list=open#third`)
    assert.equal(trips() - before, 1)
  } finally {
    releasePage()
    releaseFrame()
  }
})

test('a sealed session is restored without a database on the app’s origin', time, async () => {
  app.setConfig({ session: { persist: 'sealed' } })
  const brief = app.vault.files['/frame.js'].replace('extendedLifetime: true', 'extendedLifetime: false')
  const release = app.vault.override('/frame.js', { body: brief })
  try {
    const page = await app.open()
    await signIn(page)
    await page.goto('about:blank')
    await page.goto(`${app.site.origin}/`)
    await booted(page)
    assert.equal(await page.evaluate(() => auth.resumed), 'storage')
    assert.equal((await call(page, orders)).value.status, 200)
    assert.deepEqual(await page.evaluate(() => indexedDB.databases()), [])
  } finally {
    release()
  }
})

test('resume by a hidden frame is refused', time, async () => {
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate(
    (frame) => settle(connectFrame(frame, { resume: 'iframe' })),
    `${app.vault.origin}/frame.html`,
  )
  assert.equal(error.code, 'unsupported')
  assert.ok(error.isStrongroomError)
})
