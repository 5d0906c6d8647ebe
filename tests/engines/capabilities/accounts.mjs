/** Two accounts of one app side by side (docs/accounts.md), with the worker that `createAuth()` chooses for the engine. */
import assert from 'node:assert/strict'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { booted, signIn } from '../../support/engines/app.mjs'
import { waitFor } from '../../support/engines/driver.mjs'

const PAGE = `
import '/tools.js'
globalThis.accounts = [0, 1].map((account) => createAuth({
  account,
  shared: (name) => new SharedWorker('/auth.worker.js', { type: 'module', name }),
  dedicated: (name) => new Worker('/auth.worker.js', { type: 'module', name }),
}))
globalThis.boot = settle(Promise.all(accounts.map((auth) => auth.connect())).then(() => null))
`

const users = (tab) =>
  tab.evaluate(() => accounts.map(({ state }) => state.session?.claims.sub ?? state.error?.code ?? null))

async function liveSideBySide({ app, visit }) {
  const { tab, another } = await visit()
  await booted(tab)
  const other = await another()
  for (const [i, user] of ACCOUNTS.slice(0, 2).entries()) {
    await tab.evaluate((account) => void (globalThis.auth = accounts[account]), i)
    await signIn(tab, { prompt: 'login' }, user)
  }
  await booted(other)
  await waitFor(other, () => accounts.every(({ state }) => state.session))
  for (const each of [tab, other]) assert.deepEqual(await users(each), ['alice', 'bob'])
  const statuses = await other.evaluate(
    (url) => Promise.all(accounts.map(async (auth, i) => (await auth.fetch(`${url}orders?${i}`)).status)),
    app.api.url,
  )
  assert.deepEqual(statuses, [200, 200])
  for (const [i, user] of ['alice', 'bob'].entries())
    assert.equal(app.api.requests.find(({ path }) => path.endsWith(`?${i}`)).claims.sub, user)
  await tab.evaluate(() => accounts[0].logout())
  await waitFor(other, () => !accounts[0].state.session)
  for (const each of [tab, other]) assert.deepEqual(await users(each), [null, 'bob'])
}

/** @type {import('../suite.mjs').Group[]} */
export const accounts = [
  {
    name: 'accounts',
    app: { config: { accounts: 2, logout: 'forget', session: { persist: 'sealed' } } },
    prepare: ({ site }) => void (site.files['/page.js'] = PAGE),
    capabilities: [
      { name: 'two accounts in two tabs: each with its own user, calls and logout', see: liveSideBySide },
    ],
  },
]
