// Three accounts of one app, in two tabs: each account has its own vault, user, refresh and logout, and a response of the
// provider ends in the account that began the login (docs/accounts.md).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { giveConsent, startApp, waitUntil } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'

const time = { timeout: 180_000 }
const SECONDS = 5
const ROUNDS = ALL ? 10 : 2
const users = ACCOUNTS.map(({ username }) => username)

const WORKERS = {
  shared: `shared: (name) => new SharedWorker('/auth.worker.js', { type: 'module', name })`,
  dedicated: `dedicated: (name) => new Worker('/auth.worker.js', { type: 'module', name })`,
}

/** The script of the app's pages: an object for each account. */
const pageScript = (kind, source = '') => `
import '/tools.js'
globalThis.accounts = [0, 1, 2].map((account) => createAuth({ account, ${WORKERS[kind]}, ${source} }))
globalThis.boot = Promise.all(accounts.map((auth) => settle(auth.connect()))).then(() => {})
`

let app
before(async () => {
  app = await startApp({
    config: { accounts: 4, logout: 'forget' },
    provider: { accessTokenSeconds: SECONDS, refreshTokenAlways: true },
  })
  app.site.routes['/orders'] = '/index.html'
})
after(() => app?.close())

/** Opens a page of the app as it is set up by the script. */
async function open(script, context, path = '/') {
  app.site.files['/page.js'] = script
  const page = await app.open(path, context)
  await page.evaluate(() => boot)
  return page
}

/** Signs the account's user in by redirect. */
async function signIn(page, account, user = account) {
  await page.evaluate((i) => void accounts[i].login({ prompt: 'login' }).catch(() => {}), account)
  await giveConsent(page, ACCOUNTS[user])
  await page.waitForFunction(() => location.pathname !== '/interaction' && globalThis.boot)
  await page.evaluate(() => boot)
}

const usersOf = (page) => page.evaluate(() => accounts.map(({ state }) => state.session?.claims.sub))

/** Calls the API in each account. Resolves with the statuses. */
const callAll = (page) =>
  page.evaluate(
    (url) =>
      Promise.all(accounts.map(async (auth, i) => (await auth.fetch(`${url}orders?account=${i}`)).status)),
    app.api.url,
  )

/** Returns the calls that the API got with a token of another account's user. */
const mixedUp = () =>
  app.api.requests.filter(({ path, claims }) => {
    const account = /account=(\d)/.exec(path)?.[1]
    return account && claims && claims.sub !== users[account]
  })

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const SETUPS = ['shared', 'dedicated'].flatMap((kind) =>
  ['memory', 'sealed'].map((persist) => [kind, persist]),
)

for (const [kind, persist] of ALL ? SETUPS : [['shared', 'sealed']]) {
  test(`accounts live side by side: ${kind}, ${persist}`, time, async () => {
    app.setConfig({ accounts: 4, logout: 'forget', session: { persist } })
    const page = await open(pageScript(kind))
    // A shared worker outlives a tab that leaves for the provider, if another tab is open.
    const second = await open(pageScript(kind), page.context())
    // A dedicated worker in memory ends with the page that leaves for the provider, so only popups keep the others.
    const byPopup = kind === 'dedicated' && persist === 'memory'
    const begin = async (tab, account) => {
      if (!byPopup) return signIn(tab, account)
      const [popup] = await Promise.all([
        tab.waitForEvent('popup'),
        tab.evaluate((i) => {
          const button = document.createElement('button')
          button.onclick = () =>
            (globalThis.login = settle(accounts[i].login({ mode: 'popup', prompt: 'login' })))
          document.body.replaceChildren(button)
          button.click()
        }, account),
      ])
      await giveConsent(popup, ACCOUNTS[account])
      await tab.evaluate(() => login)
    }
    for (const account of [0, 1, 2]) await begin(page, account)
    assert.deepEqual(await usersOf(page), users)
    if (byPopup) for (const account of [0, 1, 2]) await begin(second, account)
    await waitUntil(second, () => accounts.every(({ state }) => state.session))
    assert.deepEqual(await usersOf(second), users)

    const sessions = byPopup ? 6 : 3
    const before = app.ledger.refreshes().length
    for (let round = 0; round < ROUNDS; round++) {
      await pause(SECONDS * 1000)
      const statuses = (await Promise.all([page, second].map(callAll))).flat()
      assert.deepEqual(new Set(statuses), new Set([200]))
    }
    assert.deepEqual(mixedUp(), [])
    assert.equal(
      app.ledger.refreshes().length - before,
      sessions * ROUNDS,
      'one refresh for each session and expiry',
    )

    // The logout of one account leaves the others signed in.
    await page.evaluate(() => accounts[1].logout())
    await waitUntil(page, () => !accounts[1].state.session)
    if (!byPopup) await waitUntil(second, () => !accounts[1].state.session)
    assert.deepEqual(await usersOf(page), [users[0], undefined, users[2]])
    assert.equal(app.ledger.revocations().length, 0)
    await begin(page, 1)
    assert.deepEqual(await usersOf(page), users)
    await page.context().close()
  })
}

// claim: site-2
test('logins of two accounts in two tabs end in their own accounts', time, async () => {
  app.setConfig({ accounts: 4, logout: 'forget', session: { persist: 'sealed' } })
  const script = pageScript('shared')
  const first = await open(script)
  const second = await open(script, first.context())
  for (const [page, account] of [
    [first, 0],
    [second, 1],
  ]) {
    await page.evaluate((i) => void accounts[i].login({ prompt: 'login' }).catch(() => {}), account)
    await page.waitForSelector('#username')
  }
  await giveConsent(second, ACCOUNTS[1])
  await giveConsent(first, ACCOUNTS[0])
  for (const page of [first, second]) {
    await page.waitForFunction(() => globalThis.boot)
    await waitUntil(page, () => accounts[0].state.session && accounts[1].state.session)
    assert.deepEqual(await usersOf(page), ['alice', 'bob', undefined])
    assert.deepEqual(await page.evaluate(() => accounts.map(({ state }) => state.error)), [null, null, null])
  }
  await first.context().close()
})

leftOut('page that does not connect the account of a response says so', time, async () => {
  app.setConfig({ accounts: 4, logout: 'forget', session: { persist: 'sealed' } })
  const page = await open(pageScript('shared'))
  await page.evaluate(() => void accounts[1].login({ prompt: 'login' }).catch(() => {}))
  app.site.files['/page.js'] = `
import '/tools.js'
globalThis.auth = createAuth({ account: 0, ${WORKERS.shared} })
globalThis.guard = auth.requireSession()
`
  const told = page.waitForEvent('console', (message) => message.type() === 'error')
  await giveConsent(page, ACCOUNTS[1])
  const text = (await told).text()
  assert.match(
    text,
    /^strongroom: login_unknown: .*the account 1\. .*createAuth\(\{ …, account \}\)\.connect\(\)/,
  )
  // The guard has begun no login.
  assert.equal(await page.evaluate(() => guard), null)
  assert.equal(new URL(page.url()).pathname, '/callback')
  assert.equal(await page.evaluate(() => auth.state.error.code), 'login_unknown')
  await page.context().close()
})

leftOut('login of another user in an account fails and keeps its session', time, async () => {
  app.setConfig({ accounts: 4, logout: 'forget', session: { persist: 'sealed' } })
  const page = await open(pageScript('shared'))
  await signIn(page, 1)
  await signIn(page, 1, 2)
  await waitUntil(page, () => accounts[1].state.error)
  assert.equal(await page.evaluate(() => accounts[1].state.error.code), 'account_in_use')
  assert.deepEqual(await usersOf(page), [undefined, 'bob', undefined])
  await page.context().close()
})

test('worker of another account is refused', time, async () => {
  app.setConfig({ accounts: 4 })
  const forgotten = { shared: `() => new SharedWorker('/auth.worker.js', { type: 'module' })` }
  const page = await open(pageScript('shared', `shared: ${forgotten.shared}`))
  const errors = await page.evaluate(() => accounts.map(({ state }) => state.error?.code))
  assert.deepEqual(errors, [undefined, 'config_invalid', 'config_invalid'])
  const { message } = await page.evaluate(() => describe(accounts[1].state.error))
  assert.match(message, /worker of another account.*0\/1/)
  // Without the option in the worker's file, which a tab with an earlier build may have kept alive, only the first account
  // has its session.
  app.setConfig({ accounts: undefined, logout: undefined })
  const other = await open(pageScript('shared'))
  const codes = await other.evaluate(() => accounts.map(({ state }) => state.error?.code))
  assert.deepEqual(codes, [undefined, 'config_invalid', 'config_invalid'])
  await Promise.all([page, other].map((each) => each.context().close()))
})
