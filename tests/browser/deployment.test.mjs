// A new version of the app is deployed while tabs are open. New tabs then use another worker than old tabs. The new
// worker's file has another name, as bundlers do by default, or the same name with other content. A sign-out reaches
// all tabs, and old tabs move to the new worker once a user has signed in there.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, htmlWith, signIn, startApp, startLogin } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'
import { CLOCK, setClocks } from '../support/device.mjs'
import { openWithEscrow, serveEscrow } from '../support/escrow.mjs'

const time = { timeout: 60_000 }
const OLD = '/auth.worker.js'
const NEW = '/auth-2.worker.js'
/** The worker file of another app, which has the same client. */
const ADMIN = '/admin.worker.js'

/** The numbers of a sign-out and of a sign-in in src/vault/hints.rs. */
const SIGNED_OUT = 1
const SIGNED_IN = 3
/** The unit of the time in a hint, in milliseconds, and the value of the lowest bit of this time. */
const TIME_UNIT = 125
const TIME_POSITION = 2 ** 18

/** An API that only the new deployment's worker knows. */
const ADDED = 'https://added.example.com/'

const open = []
after(() => Promise.all(open.map((app) => app.close())))

const start = async (options) => {
  const app = await startApp({ extendedLifetime: false, plainFetch: true, ...options })
  open.push(app)
  return app
}

const workerOf = (app, changes) => `import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify({ ...app.config, ...changes })})`

/** Returns the configuration of the new deployment. */
const newer = ({ config }) => ({ apis: [...config.apis, { url: ADDED }] })

/**
 * Deploys a worker file with another name, which new pages use. Old pages use that name too when they must create the
 * worker again.
 */
const deployHashed = (app, home = app.site) => {
  home.workers.push(NEW)
  home.files[NEW] = workerOf(app, newer(app))
  for (const file of ['/tools.js', '/frame.js'].filter((path) => home.files[path])) {
    home.files[file] = home.files[file].replaceAll(OLD, NEW)
  }
}

/** Deploys a worker file with the same name and other content. */
const deployFixed = (app) => app.setConfig(newer(app))

/**
 * Changes the app's pages. Their function that creates the worker uses the old file at its first call. At later calls,
 * it asks the server for the newest file.
 */
const asksForNewest = (app) => {
  app.site.files['/tools.js'] += `
let isFirst = true
create.newest = async () => {
  const text = isFirst ? '' : await (await fetch('/tools.js', { cache: 'no-store' })).text()
  isFirst = false
  return new SharedWorker(/auth[^']*worker.js/.exec(text)?.[0] ?? '${OLD}', { type: 'module' })
}`
  app.site.files['/page.js'] = app.site.files['/page.js'].replaceAll('create.shared', 'create.newest')
}

const session = (page) => page.evaluate(() => auth.session)
const isSignedIn = (page, is = true) =>
  page.waitForFunction((wanted) => !!auth.session === wanted, is, { polling: 20 })
const isElsewhere = (page) => page.waitForFunction(() => auth.elsewhere, null, { polling: 20 })
/** Resolves with true if the page is connected to the new deployment's worker. */
const hasNewWorker = async (page) => (await call(page, ADDED)).error?.code !== 'url_not_allowed'
/** Waits until the page is connected to the new deployment's worker. */
const isNew = (page) =>
  page.evaluate(async (url) => {
    const isLetPass = () => auth.fetch(url).catch(({ code = 'login_required' }) => code === 'login_required')
    while (!(await isLetPass())) await new Promise((resolve) => setTimeout(resolve, 50))
  }, ADDED)

/** Opens a tab of the old deployment, deploys, and then opens a new tab. */
async function twoTabs(app, deploy, { signsIn = true, open = () => app.open() } = {}) {
  const old = await open()
  if (signsIn) await signIn(old)
  else await booted(old)
  deploy(app)
  const fresh = await app.open('/', old.context())
  await booted(fresh)
  return [old, fresh]
}

const lastChange = (page) => page.evaluate(() => changes.at(-1))
/**
 * Signs out in one of the tabs. Asserts that every tab is told of this, and that no tab is told of a session after
 * that.
 */
async function signOut(tabs, first) {
  const before = await Promise.all(tabs.map((tab) => tab.evaluate(() => changes.length)))
  await tabs[first].evaluate(() => auth.logout())
  for (const tab of tabs) {
    await isSignedIn(tab, false)
    assert.deepEqual(await lastChange(tab), { session: null, reason: 'logged_out' })
  }
  for (const [i, tab] of tabs.entries()) {
    const heard = await tab.evaluate((from) => changes.slice(from).map(({ session }) => !!session), before[i])
    assert.ok(heard.lastIndexOf(true) < heard.indexOf(false), `tab ${i} heard: ${heard}`)
  }
}

const CASES = [
  ['hashed names', 'shared', deployHashed],
  ['a fixed name', 'dedicated', deployFixed],
  ['hashed names', 'dedicated', deployHashed],
]

/** The cases of a sign-out. Only `--all` runs the last one, which combines a kind and a name of the other cases. */
const SIGN_OUTS = ALL ? CASES : CASES.slice(0, 2)

/**
 * Returns the indexes of the tabs in which the user signs out: 0 is the old tab and 1 the new tab. A run without `--all` tests
 * one tab per case.
 */
const signingOut = (index) => (ALL ? [0, 1] : [index % 2])

for (const [index, [names, kind, deploy]] of SIGN_OUTS.entries()) {
  for (const [more, persist] of ['memory', 'sealed'].entries()) {
    // claim: script-24
    test(`sign-out ends the other deployment's session: ${names}, ${kind}, ${persist}`, time, async () => {
      for (const first of signingOut(index + more)) {
        const app = await start({ kind, config: { session: { persist } } })
        const tabs = await twoTabs(app, deploy)
        assert.equal(await hasNewWorker(tabs[0]), false)
        assert.equal(await hasNewWorker(tabs[1]), true)
        // With sessions in memory, each deployment has its own session.
        if (persist === 'memory') await signIn(tabs[1])
        await isSignedIn(tabs[1])
        await signOut(tabs, first)
        await app.close()
      }
    })
  }
}

for (const [index, [names, kind, deploy]] of SIGN_OUTS.entries()) {
  leftOut(`sign-out ends the other deployment's session: ${names}, ${kind}, escrow`, time, async () => {
    for (const first of signingOut(index)) {
      const app = await start({ kind, config: { session: { persist: 'escrow' } } })
      serveEscrow(app)
      const tabs = await twoTabs(app, deploy, { open: () => openWithEscrow(app) })
      assert.equal(await hasNewWorker(tabs[0]), false)
      assert.equal(await hasNewWorker(tabs[1]), true)
      // The service worker gives the key only to a worker whose file has the old name.
      const hasKey = deploy === deployFixed
      assert.equal(!!(await session(tabs[1])), hasKey)
      if (!hasKey) await signIn(tabs[1])
      assert.equal((await session(tabs[0])).kept, true)
      assert.equal((await session(tabs[1])).kept, hasKey)
      await signOut(tabs, first)
      // A reload must not restore the session.
      await tabs[0].goto(`${app.site.origin}/`)
      await booted(tabs[0])
      assert.equal(await session(tabs[0]), null)
      await app.close()
    }
  })
}

test('old pages move to the newest worker after a sign-in there, memory', time, async () => {
  const app = await start()
  asksForNewest(app)
  const [old, fresh] = await twoTabs(app, deployHashed)
  const before = await session(old)
  // Calls in flight stay with the old worker.
  const pending = call(old, `${app.api.url}slow?ms=3000`)
  await signIn(fresh)
  await isNew(old)
  assert.notEqual((await session(old)).startedAt, before.startedAt)
  assert.equal((await session(old)).startedAt, (await session(fresh)).startedAt)
  assert.equal((await pending).value.status, 200)
  assert.equal((await call(old, `${app.api.url}orders`)).value.status, 200)
  assert.deepEqual(await old.evaluate(() => failures), [])
  await old.evaluate(() => auth.logout())
  await isSignedIn(fresh, false)
})

for (const [names, kind, deploy] of CASES.slice(1)) {
  leftOut(`old pages create their worker again after a sign-in: ${names}, sealed`, time, async () => {
    const app = await start({ kind, config: { session: { persist: 'sealed' } } })
    const [old, fresh] = await twoTabs(app, deploy, { signsIn: false })
    const asked = app.site.requests.length
    await signIn(fresh)
    await isSignedIn(old)
    if (deploy === deployFixed) await isNew(old)
    assert.equal((await call(old, `${app.api.url}orders`)).value.status, 200)
    assert.deepEqual(await old.evaluate(() => failures), [])
    const again = app.site.requests.slice(asked).filter(({ path }) => path === OLD)
    assert.ok(again.length >= 1, 'the old page has not created its worker again')
  })
}

leftOut('page keeps its session while a stopped vault is replaced', time, async () => {
  const app = await start({ config: { session: { persist: 'sealed' } } })
  app.site.files['/clock.js'] = CLOCK
  app.setWorker(`import '/clock.js'\n${workerOf(app)}`)
  const [old, fresh] = await twoTabs(app, deployHashed, { signsIn: false })
  await signIn(fresh)
  await isSignedIn(old)
  const { length } = await old.evaluate(() => changes)
  // An outdated vault stops after five minutes.
  await setClocks(old, { monotonic: 301_000 })
  while ((await call(old, `${app.api.url}orders`)).error?.code !== 'vault_outdated');
  await isSignedIn(old)
  const sessions = await old.evaluate((from) => changes.slice(from).map(({ session }) => !!session), length)
  assert.ok(sessions.length > 0 && sessions.every(Boolean), `the old page was told: ${sessions}`)
})

leftOut('in memory a sign-in elsewhere sets elsewhere and replaces the worker', time, async () => {
  const app = await start({ kind: 'dedicated' })
  const [old, fresh] = await twoTabs(app, deployFixed, { signsIn: false })
  assert.equal(await old.evaluate(() => auth.elsewhere), false)
  await signIn(fresh)
  await isElsewhere(old)
  await isNew(old)
  assert.equal(await old.evaluate(() => auth.elsewhere), true)
  assert.equal(await session(old), null)
  assert.equal((await call(old, `${app.api.url}orders`)).error.code, 'login_required')
  await fresh.evaluate(() => auth.logout())
  await old.waitForFunction(() => !auth.elsewhere, null, { polling: 20 })
})

// claim: site-2
test('a login of another client with the same redirect URI is left to its vault', time, async () => {
  const app = await start()
  app.site.workers.push('/other.worker.js')
  app.site.files['/other.worker.js'] = workerOf(app, { clientId: 'another' })
  const asksFirst = `const start = async () => {
  const other = await connect(new SharedWorker('/other.worker.js', { type: 'module' }))
  await (globalThis.otherBoot = settle(other.handleCallback()))`
  const usual = app.site.files['/page.js']
  app.site.files['/page.js'] = usual.replace('const start = async () => {', asksFirst)
  const page = await app.open()
  await startLogin(page)
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.otherBoot, null, { polling: 20 })
  assert.equal((await booted(page)).value.returnTo, '/')
  assert.deepEqual(await page.evaluate(() => otherBoot), { value: null })
  assert.equal((await session(page)).claims.sub, 'alice')
})

// claim: script-23, script-33
test('forged hints end a session at most', time, async () => {
  const app = await start()
  const page = await app.open()
  await booted(page)
  const { issuer, clientId } = app.config
  const asked = app.ledger.entries.length
  const forge = (hints) =>
    page.evaluate(
      ([name, all]) => {
        const channel = new BroadcastChannel(name)
        for (const hint of all) channel.postMessage(hint)
        // After this time, the vault has received all hints.
        return new Promise((resolve) => setTimeout(resolve, 300))
      },
      [`strongroom hints 1 ${issuer} ${clientId}`, hints],
    )
  const huge = 'x'.repeat(1_000_000)
  await forge([0, null, {}, [], huge, [huge], [1], [[3]], '1', { 0: 1 }, -1, NaN])
  assert.equal((await call(page, `${app.api.url}orders`)).error.code, 'login_required')
  await forge(Array(500).fill(SIGNED_IN))
  await isElsewhere(page)
  assert.equal(await session(page), null)
  assert.equal(await page.evaluate(() => location.href), `${app.site.origin}/`)
  assert.equal(app.ledger.entries.length, asked)
  await signIn(page)
  const { idleExpiresAt, expiresAt } = await session(page)
  // A hint without a time means 1970, long before the session began.
  await forge([SIGNED_IN, SIGNED_OUT])
  const later = await session(page)
  assert.deepEqual([later.idleExpiresAt, later.expiresAt], [idleExpiresAt, expiresAt])
  // Control experiment: a hint of a logout that happens now ends the session, as logout() would.
  await forge([SIGNED_OUT + Math.ceil(Date.now() / TIME_UNIT) * TIME_POSITION])
  await isSignedIn(page, false)
})

// claim: origin-7
test('a vault on its own origin: sign-out, and a move to the newest worker', time, async () => {
  const app = await start({ vaultOrigin: true })
  const [old, fresh] = await twoTabs(app, () => deployHashed(app, app.vault))
  assert.equal(await hasNewWorker(old), false)
  await signIn(fresh)
  await isNew(old)
  assert.equal((await session(old)).startedAt, (await session(fresh)).startedAt)
  assert.equal(await old.evaluate(() => document.querySelectorAll('iframe').length), 1)
  assert.deepEqual(await old.evaluate(() => failures), [])
  await fresh.evaluate(() => auth.logout())
  await isSignedIn(old, false)
  assert.equal((await lastChange(old)).reason, 'logged_out')
})

leftOut('two apps of one client on one origin keep their own vaults', time, async () => {
  const app = await start({ extendedLifetime: true })
  const { files, routes, workers } = app.site
  // The provider knows these two redirect URIs.
  files[ADMIN] = workerOf(app, { redirectUri: '/' })
  workers.push(ADMIN)
  files['/admin-tools.js'] = files['/tools.js'].replaceAll(OLD, ADMIN)
  files['/admin.js'] = files['/page.js'].replace('/tools.js', '/admin-tools.js')
  files['/admin.html'] = htmlWith('/admin.js')
  Object.assign(routes, { '/shop': '/index.html', '/admin': '/admin.html', '/': '/admin.html' })

  const shop = await app.open('/shop')
  await signIn(shop)
  const admin = await app.open('/admin', shop.context())
  await startLogin(admin)
  await giveConsent(admin)
  await admin.waitForFunction(() => location.pathname === '/' && globalThis.boot)
  assert.equal((await booted(admin)).error, undefined)
  // A vault that takes the other one for a newer deployment stops when its last page has left.
  for (const page of [shop, admin, shop]) {
    const { startedAt } = await session(page)
    await page.reload()
    assert.equal((await booted(page)).error, undefined)
    assert.equal((await session(page))?.startedAt, startedAt)
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  }
  // A sign-out reaches both.
  await admin.evaluate(() => auth.logout())
  await isSignedIn(shop, false)
})
