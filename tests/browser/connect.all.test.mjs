// Frameworks may run start-up code twice. The app then closes its first connection immediately, and handles its
// callback twice.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, signIn, startApp, startLogin, giveConsent } from '../support/app.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated']
const apps = {}

before(async () => {
  for (const kind of KINDS) apps[kind] = await startApp({ kind })
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

const PAGES = {}
afterEach(() => {
  for (const kind of KINDS) if (PAGES[kind]) apps[kind].site.files['/page.js'] = PAGES[kind]
})

/** Replaces the script of the app's pages. */
function startBy(kind, script) {
  PAGES[kind] ??= apps[kind].site.files['/page.js']
  apps[kind].site.files['/page.js'] = `import '/tools.js'\n${script}`
}

/** Returns a script that runs an effect, cleans it up, and runs it again, like React's StrictMode. */
const strict = (kind) => `
const worker = create.${kind}()
globalThis.changes = []
const effect = () => {
  let isOver = false
  const started = settle(connect(worker).then(async (auth) => {
    if (isOver) return auth.close()
    globalThis.auth = auth
    return auth.handleCallback()
  }))
  return { started, cleanUp: () => { isOver = true; globalThis.auth?.close() } }
}
const first = effect()
first.cleanUp()
const second = effect()
globalThis.boot = Promise.all([first.started, second.started]).then(([, last]) => last)
`

/**
 * Returns a script like that of `strict`, in which the first connection is closed only after it has called
 * `handleCallback()`.
 */
const strictLate = (kind) => `
const worker = create.${kind}()
globalThis.boot = (async () => {
  const first = await connect(worker)
  const abandoned = settle(first.handleCallback())
  first.close()
  globalThis.auth = await connect(worker)
  const outcome = await settle(auth.handleCallback())
  globalThis.abandoned = await abandoned
  return outcome
})()
`

for (const kind of KINDS) {
  test(`connect, close, connect, ${kind}: the second connection signs in and calls`, time, async () => {
    const app = apps[kind]
    startBy(kind, strict(kind))
    const page = await app.open()
    assert.deepEqual(await signIn(page), { value: { returnTo: '/' } })
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
    assert.equal(await page.evaluate(() => auth.session.claims.sub), 'alice')
  })

  test(
    `two connections at once, ${kind}: each gets its own responses, and closing one does not affect the other`,
    time,
    async () => {
      const app = apps[kind]
      const page = await app.open()
      await signIn(page)
      const outcomes = await page.evaluate(
        async ([which, api]) => {
          const worker = create[which]()
          const [one, other] = await Promise.all([connect(worker), connect(worker)])
          if (which === 'dedicated') {
            one.close()
            return [await settle(other.fetch(`${api}orders`)), await settle(one.fetch(`${api}orders`))]
          }
          const both = Promise.all([one, other].map(async (each) => (await each.fetch(`${api}me`)).json()))
          const [mine, theirs] = await both
          one.close()
          const after = await settle(other.fetch(`${api}orders`).then(({ status }) => status))
          return [mine.sub, theirs.sub, after, await settle(one.fetch(`${api}orders`))]
        },
        [kind, app.api.url],
      )
      if (kind === 'shared') {
        const [mine, theirs, after, closed] = outcomes
        assert.deepEqual([mine, theirs, after], ['alice', 'alice', { value: 200 }])
        assert.equal(closed.error.code, 'closed')
      } else {
        assert.deepEqual(
          outcomes.map(({ error }) => error.code),
          ['login_required', 'closed'],
        )
      }
    },
  )

  test(
    `handleCallback() by two connections at once, ${kind}: one exchange, the same result`,
    time,
    async () => {
      const app = apps[kind]
      startBy(
        kind,
        `
const worker = create.${kind}()
globalThis.boot = (async () => {
  const [one, other] = await Promise.all([connect(worker), connect(worker)])
  globalThis.auth = one
  globalThis.results = Promise.all([one, other, one].map((each) => settle(each.handleCallback())))
  return (await results)[0]
})()
`,
      )
      const page = await app.open()
      await startLogin(page, { returnTo: '/orders?a#b' })
      const before = app.ledger.tokenRequests().length
      await giveConsent(page)
      await page.waitForURL(/\/callback/)
      await booted(page)
      const results = await page.evaluate(() => results)
      assert.deepEqual(results, Array(3).fill({ value: { returnTo: '/orders?a#b' } }))
      assert.equal(app.ledger.tokenRequests().length - before, 1)
    },
  )
}

test('a callback completes although its connection was closed', time, async () => {
  const app = apps.shared
  startBy('shared', strictLate('shared'))
  const page = await app.open()
  const before = app.ledger.tokenRequests().length
  await signIn(page)
  await page.waitForFunction(() => auth.session, null, { polling: 20 })
  assert.equal(app.ledger.tokenRequests().length - before, 1)
})
