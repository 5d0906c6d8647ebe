// `connect()` reports where it found a session. With the option `resume`, it also tries once to get a session from the
// provider without the user.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import {
  booted,
  call,
  forgedState,
  signIn as signInOn,
  signInByPopup,
  startApp,
  waitUntil,
} from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

const apps = {}

// The scope does not contain offline_access, because the provider would then require consent, and no login would be
// silent.
const config = { scope: 'openid profile orders' }
const options = { config, extendedLifetime: false, provider: { accessTokenSeconds: 60 } }

before(async () => {
  const started = {
    none: startApp({ ...options, config: { ...config, session: { persist: 'sealed' } } }),
    redirect: startApp({ ...options, resume: 'redirect' }),
    dedicated: startApp({ ...options, resume: 'redirect', kind: 'dedicated' }),
    iframe: startApp({ ...options, resume: 'iframe', provider: { ...options.provider, host: 'localhost' } }),
    iframeElsewhere: startApp({ ...options, resume: 'iframe' }),
    iframeDedicated: startApp({
      ...options,
      resume: 'iframe',
      kind: 'dedicated',
      provider: { ...options.provider, host: 'localhost' },
    }),
  }
  for (const [name, app] of Object.entries(started)) apps[name] = await app
  for (const [name, app] of Object.entries(apps)) {
    if (!name.startsWith('iframe')) continue
    app.site.pageCsp += `; frame-src 'self' ${app.provider.issuer}`
  }
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))
afterEach(() => {
  for (const app of Object.values(apps)) {
    app.provider.faults.clear()
    app.setConfig({})
  }
})

const orders = (app) => `${app.api.url}orders`
const resumed = (page) => page.evaluate(() => auth.resumed)
const session = (page) => page.evaluate(() => auth.session)

/** Returns the number of authorization requests at the provider. */
const trips = (app) => app.ledger.authorizationRequests().length

/** Opens the app again. The worker of the only tab ends in between. */
async function reload(page, app, path = '/') {
  await page.goto('about:blank')
  await page.goto(app.site.origin + path)
}

/** Waits until `connect()` has resolved. The tab may navigate to the provider and back before that. */
const settled = (page) => page.waitForFunction(() => globalThis.auth, null, { polling: 20 })

/** Waits until the page has a session. */
const signedIn = (page) => page.waitForFunction(() => globalThis.auth?.session, null, { polling: 20 })

/** Signs in on a page that may first navigate to the provider and back. */
async function signIn(page) {
  await settled(page)
  return signInOn(page)
}

/** Makes the page forget its previous attempt to resume. */
const forgetAttempt = (page) => page.evaluate(() => sessionStorage.clear())

leftOut('resumed: null without a session, and after a login', time, async () => {
  const app = apps.none
  const page = await app.open()
  await booted(page)
  assert.equal(await resumed(page), null)
  await signIn(page)
  assert.equal(await resumed(page), null)
})

leftOut('resumed: vault, if another tab has the session', time, async () => {
  const app = apps.none
  const page = await app.open()
  await signIn(page)
  const other = await app.open('/', page.context())
  await booted(other)
  assert.equal(await resumed(other), 'vault')
})

leftOut('resumed: storage, if the session was sealed', time, async () => {
  const app = apps.none
  const page = await app.open()
  await signIn(page)
  await reload(page, app)
  await booted(page)
  assert.equal(await resumed(page), 'storage')
})

for (const kind of ['redirect', 'dedicated']) {
  // claim: everyday-7
  test(`redirect: a reload of the only tab resumes at the same URL, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    await forgetAttempt(page)
    const before = trips(app)
    const path = '/?list=open&q=%20#third'
    await page.goto('about:blank')
    const entries = await page.evaluate(() => history.length)
    await page.goto(app.site.origin + path)
    await settled(page)
    assert.deepEqual(await booted(page), { value: { returnTo: path } })
    assert.equal(await resumed(page), 'redirect')
    assert.equal((await session(page)).claims.sub, 'alice')
    assert.equal(page.url(), app.site.origin + path)
    assert.equal(trips(app) - before, 1)
    assert.equal((await call(page, orders(app))).value.status, 200)
    // The history has one new entry for the app, and no entry for the provider.
    assert.equal(await page.evaluate(() => history.length), entries + 1)
  })
}

// claim: everyday-7
test('redirect: one attempt without a session at the provider', time, async () => {
  const app = apps.redirect
  const before = trips(app)
  const page = await app.open('/#here')
  await settled(page)
  assert.deepEqual(await booted(page), { value: { returnTo: '/#here' } })
  assert.equal(await session(page), null)
  assert.equal(await resumed(page), null)
  assert.equal(page.url(), `${app.site.origin}/#here`)
  // Further loads of the page cause no further attempt.
  for (let n = 0; n < 4; n++) {
    await reload(page, app)
    assert.deepEqual(await booted(page), { value: null })
  }
  assert.equal(trips(app) - before, 1)
})

leftOut('redirect: an error without state leads back to the page', time, async () => {
  const app = apps.redirect
  const location = `${app.site.origin}/callback?error=login_required`
  app.provider.faults.add('authorization', { answer: { status: 303, headers: { location } } })
  const before = trips(app)
  const page = await app.open('/#here')
  await settled(page)
  assert.deepEqual(await booted(page), { value: { returnTo: '/#here' } })
  assert.equal(page.url(), `${app.site.origin}/#here`)
  await reload(page, app)
  assert.deepEqual(await booted(page), { value: null })
  assert.equal(trips(app) - before, 1)
})

/** Returns the number of reloads in the URL of the app of `tripsInCircle()`. A callback URL has none. */
const loadsIn = (search) => Number(new URLSearchParams(search).get('loads') ?? 0)

/**
 * Resolves with the number of attempts of an app that reloads itself eight times, and never finds a session.
 * `forgetting` is code that runs before each reload.
 */
async function tripsInCircle(forgetting = '') {
  const app = apps.redirect
  const page = await app.open()
  await signIn(page)
  await forgetAttempt(page)
  const before = trips(app)
  const usual = app.site.files['/page.js']
  // The worker and its session end with each page.
  app.site.files['/page.js'] = `${usual}
boot.then(() => {
  const loads = Number(new URLSearchParams(location.search).get('loads') ?? 0)
  ${forgetting}
  if (loads < 8) location.replace('/?loads=' + (loads + 1))
})`
  try {
    await reload(page, app)
    // Each load has its own time limit, because a busy machine exceeds one limit for all redirects.
    for (let loads = 1; loads <= 8; loads++) await page.waitForURL(({ search }) => loadsIn(search) >= loads)
    await settled(page)
  } finally {
    app.site.files['/page.js'] = usual
  }
  return trips(app) - before
}

leftOut('redirect: an app that reloads itself makes one attempt', time, async () => {
  assert.equal(await tripsInCircle(), 1)
})

leftOut('redirect: a control: an app that clears all storage makes one at each start', time, async () => {
  assert.equal(await tripsInCircle('sessionStorage.clear(), localStorage.clear()'), 9)
})

// claim: everyday-7
test('redirect: no attempt after a logout until the user signs in', time, async () => {
  const app = apps.redirect
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => auth.logout())
  const before = trips(app)
  await forgetAttempt(page)
  await reload(page, app)
  await booted(page)
  assert.equal(await session(page), null)
  const other = await app.open('/', page.context())
  await booted(other)
  assert.equal(await session(other), null)
  assert.equal(trips(app) - before, 0)
  await page.close()
  // The user has a session at the provider, so the provider shows no page.
  await other.evaluate(() => void auth.login())
  await signedIn(other)
  await forgetAttempt(other)
  await reload(other, app)
  await settled(other)
  assert.equal(await resumed(other), 'redirect')
})

leftOut('redirect: no attempt after a logout in another tab', time, async () => {
  const app = apps.dedicated
  const context = await app.browser.newContext()
  await context.addInitScript(() => {
    globalThis.Worker = class extends Worker {
      constructor(...args) {
        super(...args)
        globalThis.worker = this
      }
    }
  })
  const page = await app.open('/', context)
  await signIn(page)
  const other = await app.open('/', context)
  await signedIn(other)
  await page.evaluate(() => auth.logout())
  const before = trips(app)
  await other.waitForFunction(() => !auth.session)
  const isThere = () => connect(worker, { resume: 'redirect' }).then(({ session }) => !!session)
  assert.equal(await other.evaluate(isThere), false)
  await forgetAttempt(page)
  await reload(page, app)
  await booted(page)
  assert.equal(await session(page), null)
  assert.equal(trips(app) - before, 0)
  // Control experiment: after a login, the page may try again to resume.
  await page.evaluate(() => void auth.login())
  await signedIn(page)
  // The other tab still has the reason for the end of its own session, and must not treat this reason as a new end.
  await other.waitForFunction(() => auth.elsewhere)
  await forgetAttempt(page)
  await reload(page, app)
  await settled(page)
  assert.equal(await resumed(page), 'redirect')
  await context.close()
})

leftOut('redirect: no attempt after the idle limit', time, async () => {
  const app = apps.redirect
  app.setWorker(`import { vault } from '/strongroom/worker.js'
const { now } = Date
let late = 0
Date.now = () => now() + late
new BroadcastChannel('late').onmessage = () => (late = 61_000)
vault(${JSON.stringify({ ...app.config, session: { idle: 60 } })})`)
  const page = await app.open()
  await signIn(page)
  await page.evaluate(() => new BroadcastChannel('late').postMessage(0))
  // Each call of `inspect()` makes the vault check the time.
  const isIdle = () => settle(auth.inspect()).then(() => auth.endReason === 'idle')
  await waitUntil(page, isIdle)
  const before = trips(app)
  await forgetAttempt(page)
  await reload(page, app)
  await booted(page)
  assert.equal(await session(page), null)
  assert.equal(trips(app) - before, 0)
})

leftOut('redirect: no attempt at a page with a response', time, async () => {
  const app = apps.redirect
  const before = trips(app)
  const page = await app.open(`/callback?error=login_required&state=${forgedState(app.config)}`)
  const { error } = await booted(page)
  assert.equal(error.code, 'login_unknown')
  assert.equal(trips(app) - before, 0)
})

for (const kind of ['iframe', 'iframeDedicated']) {
  // claim: everyday-7
  test(`iframe: a reload of the only tab resumes the session, ${kind}`, time, async () => {
    const app = apps[kind]
    const page = await app.open()
    await signIn(page)
    await forgetAttempt(page)
    const before = trips(app)
    await reload(page, app, '/?a#b')
    assert.deepEqual(await booted(page), { value: null })
    assert.equal(await resumed(page), 'iframe')
    assert.equal((await session(page)).claims.sub, 'alice')
    assert.equal(page.url(), `${app.site.origin}/?a#b`)
    assert.equal(trips(app) - before, 1)
    assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 0)
    assert.equal((await call(page, orders(app))).value.status, 200)
  })
}

leftOut('iframe: one attempt without a session at the provider', time, async () => {
  const app = apps.iframe
  const before = trips(app)
  const page = await app.open('/empty')
  let framed = 0
  await page.exposeFunction('startedInFrame', () => framed++)
  await page.addInitScript(() => {
    if (parent === window) return
    Object.defineProperty(globalThis, 'auth', { set: () => startedInFrame() })
  })
  await page.goto(app.site.origin)
  for (let n = 0; n < 3; n++) {
    assert.deepEqual(await booted(page), { value: null })
    assert.equal(await session(page), null)
    assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 0)
    await reload(page, app)
  }
  assert.equal(trips(app) - before, 1)
  assert.equal(framed, 0, 'the app has not started in the frame')
})

/** Opens a page, and records the warnings on its console. */
async function openWithWarnings(app) {
  const page = await app.open('/empty')
  const warnings = []
  page.on('console', (line) => line.text().startsWith('strongroom: ') && warnings.push(line.text()))
  return { page, warnings }
}

leftOut('iframe: warns about a provider of another site', time, async () => {
  const app = apps.iframeElsewhere
  const { page, warnings } = await openWithWarnings(app)
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  assert.equal(await session(page), null)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0], /resume: 'iframe' found no session at http:\/\/127\.0\.0\.1:\d+.*'redirect'/)
  // There is no warning without an attempt.
  await reload(page, app)
  await booted(page)
  assert.equal(warnings.length, 1)
})

leftOut('iframe: does not warn about a provider of this site', time, async () => {
  const app = apps.iframe
  const { page, warnings } = await openWithWarnings(app)
  const before = trips(app)
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  assert.equal(trips(app) - before, 1)
  assert.deepEqual(warnings, [])
})

leftOut('iframe: the page starts if the provider forbids frames', time, async () => {
  const app = apps.iframe
  const page = await app.open('/empty')
  app.provider.faults.add('authorization', {
    answer: { headers: { 'Content-Security-Policy': "frame-ancestors 'none'" }, body: '<p>No.' },
  })
  await page.goto(`${app.site.origin}/`)
  assert.deepEqual(await booted(page), { value: null })
  assert.equal(await session(page), null)
  assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 0)
  // The page can still sign in.
  assert.equal((await signInByPopup(page)).value.claims.sub, 'alice')
})

leftOut('an unknown value is named', time, async () => {
  const page = await apps.none.open('/empty')
  const { error } = await page.evaluate(() => settle(connect(create.shared(), { resume: 'popup' })))
  assert.equal(error.code, 'unsupported')
  assert.ok(error.isStrongroomError)
  assert.match(error.message, /'popup'.*'redirect', 'iframe' or 'none'/)
})
