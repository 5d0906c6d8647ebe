// Tests which events a session survives, for each setup of the vault. The results are the tables of docs/session-storage.md.
// `UPDATE_DOCS=1 TEST_ALL=1` writes the tables to the document.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { comeBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { ALL } from '../support/combinations.mjs'
import { killWorkers } from '../support/device.mjs'
import { openWithEscrow, serveEscrow } from '../support/escrow.mjs'
import { markdownTable } from '../support/report.mjs'
import { mostlyKept, played } from '../support/retries.mjs'

const time = { timeout: 120_000 }
const DOCS = new URL('../../docs/session-storage.md', import.meta.url)
const ENGINE = 'Chromium'

const sealed = { session: { persist: 'sealed' } }
const escrow = { session: { persist: 'escrow' } }

const orders = (app) => `${app.api.url}orders`

/**
 * The columns of the table, each with its own app. A run without `--all` tests only the columns with `isUsual`, which cover each
 * kind of worker.
 */
const SETUPS = [
  { name: 'memory, `SharedWorker`', isUsual: true, extendedLifetime: false },
  { name: 'memory, `extendedLifetime`', extendedLifetime: true },
  { name: 'memory, `Worker`', kind: 'dedicated' },
  { name: 'sealed, `SharedWorker`', extendedLifetime: false, config: sealed },
  { name: 'sealed, `extendedLifetime`', extendedLifetime: true, config: sealed },
  { name: 'sealed, `Worker`', isUsual: true, kind: 'dedicated', config: sealed },
  { name: 'escrow, `SharedWorker`', extendedLifetime: false, config: escrow },
  { name: 'escrow, `Worker`', kind: 'dedicated', config: escrow },
]

const openAnew = ({ app, page }) => app.open('/', page.context())

/** Navigates away and opens a new page of the app. */
const leaveAndReturn = async ({ app, page }) => {
  await page.goto(app.provider.issuer)
  await page.goto(`${app.site.origin}/`)
  return page
}

/** Leaves the page when the token endpoint has rotated the refresh token but has not responded yet. */
const leaveDuringRefresh = (leewaySeconds) => async (scene) => {
  const { app, page } = scene
  Object.assign(app.provider.settings, { leewaySeconds })
  await app.ledger.accessTokenExpired()
  const since = app.proxies.provider.requests.length
  app.proxies.provider.faults.add('token', { when: 'after', delay: 4000 })
  const rotated = app.ledger.until(({ type }) => type === 'token_request')
  void call(page, orders(app)).catch(() => {})
  await rotated
  await page.goto('about:blank')
  await app.proxies.provider.requests[since].closed
  return leaveAndReturn(scene)
}

/**
 * The rows of the table. Each row is an event in the only tab of a signed-in user. `happen` resolves with the page in
 * which the session is then checked.
 *
 * @type {{ what: string, cached?: boolean, lifetime?: number, happen: (scene: object) => Promise<object> }[]} `cached`:
 *   true if the browser may use its back-forward cache, which also keeps the workers of its pages alive. `lifetime`:
 *   the lifetime of an access token in seconds.
 */
const EVENTS = [
  { what: 'another tab is opened', happen: openAnew },
  { what: 'the only tab is reloaded', happen: async ({ page }) => (await page.reload(), page) },
  {
    what: 'a tab is reloaded while another one is open',
    async happen(scene) {
      await booted(await openAnew(scene))
      await scene.page.reload()
      return scene.page
    },
  },
  {
    what: 'the only tab is closed, and the app opened again',
    async happen(scene) {
      // The browser session stays alive, because another tab is open.
      await scene.page.context().newPage()
      await scene.page.close()
      return openAnew(scene)
    },
  },
  {
    what: 'left, and back from the back-forward cache',
    cached: true,
    async happen({ page, app }) {
      await mark(page)
      await page.goto(app.provider.issuer)
      await comeBack(page)
      return page
    },
  },
  { what: 'left for another site, and back to a fresh page', cached: true, happen: leaveAndReturn },
  { what: 'left and back, while the page is not in the cache', happen: leaveAndReturn },
  {
    what: 'left during a refresh, provider with leeway',
    lifetime: 1,
    happen: leaveDuringRefresh(60),
  },
  { what: 'left during a refresh, provider without leeway', lifetime: 1, happen: leaveDuringRefresh(0) },
  {
    what: 'the worker is killed, and the tab reloaded',
    async happen({ page }) {
      await killWorkers(page)
      await page.reload()
      return page
    },
  },
]

/** Maps each app to the only tab of a user whose session has survived the previous event. */
const survivors = new Map()

async function openSignedIn(app) {
  const isEscrowed = app.config.session?.persist === 'escrow'
  const page = await (isEscrowed ? openWithEscrow(app) : app.open())
  await signIn(page)
  return page
}

async function see(app, { what, lifetime, happen }) {
  app.provider.settings.accessTokenSeconds = lifetime ?? 60
  const page = (!lifetime && survivors.get(app)) || (await openSignedIn(app))
  if (!lifetime) survivors.delete(app)
  const logins = app.ledger.authorizationRequests().length
  const seen = await happen({ app, page })
  await booted(seen)
  const { value, error } = await call(seen, orders(app))
  if (value) assert.equal(value.status, 200, what)
  else assert.match(error.code, /^(login_required|session_ended)$/, what)
  assert.equal(app.ledger.authorizationRequests().length, logins, what)
  app.proxies.provider.faults.clear()
  if (value && !lifetime) {
    const others = seen.context().pages()
    await Promise.all(others.map((other) => other !== seen && other.close()))
    survivors.set(app, seen)
  } else {
    await page.context().close()
  }
  return value ? 'kept' : 'lost'
}

const columns = []

const observed = SETUPS.filter(({ isUsual }) => ALL || isUsual)

for (const { name, ...options } of observed) {
  test(`${name}: what a session survives`, time, async () => {
    // A page in the back-forward cache keeps its worker alive, but no page can rely on that. The cache is therefore
    // disabled, which is also Playwright's default, except in the tests of the cache.
    const apps = new Map()
    for (const cached of [false, true]) {
      const app = await startApp({ proxied: true, launch: cached ? WITH_CACHE : {}, ...options })
      serveEscrow(app)
      apps.set(cached, app)
    }
    try {
      const seen = []
      for (const event of EVENTS) {
        const scene = () => see(apps.get(event.cached ?? false), event)
        seen.push(await (event.cached ? mostlyKept(played(scene)) : scene()))
      }
      columns.push([name, ...seen])
    } finally {
      for (const app of apps.values()) await app.close()
    }
  })
}

const table = () => {
  const names = ['what happens', ...EVENTS.map(({ what }) => what)]
  return markdownTable(names.map((name, row) => [name, ...columns.map((column) => column[row])]))
}

/** Returns the columns of a table, each with its heading first. */
const columnsOf = (text) => {
  const lines = text.split('\n').filter((line) => !/^\|[ |:-]*$/.test(line))
  const rows = lines.map((line) => line.split('|').slice(1, -1))
  return rows[0].map((_, index) => rows.map((row) => row[index].trim()))
}

after(() => console.log(`\n${ENGINE}\n\n${table()}\n`))

// claim: everyday-2
test('docs/session-storage.md matches the results', async () => {
  assert.equal(columns.length, observed.length, 'some rows were not observed')
  const docs = await readFile(DOCS, 'utf8')
  const marks = [`<!-- seen in ${ENGINE} -->\n\n`, `\n\n<!-- end -->`]
  const start = docs.indexOf(marks[0]) + marks[0].length
  const end = docs.indexOf(marks[1], start)
  assert.ok(start >= marks[0].length && end >= start, `docs/session-storage.md has no table for ${ENGINE}`)
  if (process.env.UPDATE_DOCS) {
    assert.ok(ALL, 'UPDATE_DOCS=1 needs TEST_ALL=1')
    return writeFile(DOCS, docs.slice(0, start) + table() + docs.slice(end))
  }
  const [events, ...documented] = columnsOf(docs.slice(start, end))
  assert.deepEqual(events.slice(1), columnsOf(table())[0].slice(1))
  assert.deepEqual(
    documented.map(([name]) => name),
    SETUPS.map(({ name }) => name),
  )
  const isObserved = ([name]) => columns.some(([other]) => other === name)
  assert.deepEqual(documented.filter(isObserved), columns, 'UPDATE_DOCS=1 TEST_ALL=1 writes what was seen')
})
