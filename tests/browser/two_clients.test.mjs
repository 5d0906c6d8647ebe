// A page with two clients of one redirect URI (docs/faq.md): each login ends in the client that began it, and the other
// one leaves the response alone, whichever connects first.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import {
  booted,
  deny,
  giveConsent,
  signInByPopup,
  startApp,
  startLogin,
  waitUntil,
  workerScript,
} from '../support/app.mjs'
import { leftOut, rows } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

let app

/** The page's script, whose clients connect and handle the callback in this order. None ends before both have begun. */
const pageScript = (kind, order) => `
import '/tools.js'

const Made = { shared: SharedWorker, dedicated: Worker }.${kind}
const begin = async () => {
  for (const name of ${JSON.stringify(order)}) {
    globalThis[name] = await connect(() => new Made('/' + name + '.worker.js', { type: 'module' }))
  }
  const [first, second] = [${order}].map((auth) => settle(auth.handleCallback()))
  return { ${order[0]}: await first, ${order[1]}: await second }
}
globalThis.boot = begin()
`

before(async () => {
  app = await startApp({ clients: [{ client_id: 'two', client_name: 'two' }] })
  app.site.workers.push('/one.worker.js', '/two.worker.js')
  Object.assign(app.site.files, {
    '/one.worker.js': workerScript(app.config),
    '/two.worker.js': workerScript({ ...app.config, clientId: 'two' }),
  })
})
after(() => app?.close())

/** Opens a page whose clients connect in this order. `auth` is the client that will sign in. */
async function open(kind, order, owner) {
  app.site.files['/page.js'] = pageScript(kind, order)
  const page = await app.open()
  await booted(page)
  await page.evaluate((name) => void (globalThis.auth = globalThis[name]), owner)
  return page
}

/** Returns the users of both clients. */
const users = (page) => page.evaluate(() => [one, two].map(({ session }) => session?.claims.sub))

/** Resolves with the results of both callbacks. */
async function back(page) {
  await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
  return booted(page)
}

for (const kind of rows(['shared', 'dedicated'])) {
  for (const order of rows([
    ['one', 'two'],
    ['two', 'one'],
  ])) {
    const named = `${order.join(' before ')}, ${kind}`

    // claim: everyday-16
    test(`redirect ends in the client that began it: ${named}`, time, async () => {
      const page = await open(kind, order, 'one')
      await startLogin(page, { returnTo: '/orders' })
      await giveConsent(page)
      const results = await back(page)
      assert.deepEqual(results, { one: { value: { returnTo: '/orders' } }, two: { value: null } })
      assert.equal(page.url(), `${app.site.origin}/callback`)
      assert.deepEqual(await users(page), ['alice', undefined])
      await page.context().close()
    })

    // claim: everyday-16
    test(`only the client of a refused login has its error: ${named}`, time, async () => {
      const page = await open(kind, order, 'one')
      await startLogin(page, { returnTo: '/orders' })
      await deny(page)
      const { one, two } = await back(page)
      assert.equal(one.error?.code, 'login_denied')
      assert.equal(one.error.returnTo, '/orders')
      assert.deepEqual(two, { value: null })
      await page.context().close()
    })

    leftOut(`popups sign in to both clients: ${named}`, time, async () => {
      const page = await open(kind, order, 'one')
      assert.deepEqual((await signInByPopup(page)).value?.claims.sub, 'alice')
      assert.deepEqual(await users(page), ['alice', undefined])
      await page.evaluate(() => void (globalThis.auth = two))
      const { value } = await signInByPopup(page, { prompt: 'login' }, ACCOUNTS[1])
      assert.equal(value?.claims.sub, 'bob')
      assert.deepEqual(await users(page), ['alice', 'bob'])
      await page.context().close()
    })
  }
}

leftOut(
  'login by redirect does not cut off the callback of the other client, nor share its error',
  time,
  async () => {
    const page = await open('dedicated', ['two', 'one'], 'two')
    await startLogin(page)
    let release
    const hold = new Promise((resolve) => (release = resolve))
    app.provider.faults.add('token', { hold, answer: { status: 400, body: { error: 'invalid_grant' } } })
    await giveConsent(page)
    await waitUntil(page, () => location.pathname === '/callback' && globalThis.one)
    const asked = app.ledger.until(({ type }) => type === 'authorization_request')
    await page.evaluate(() => void one.login())
    assert.equal(await Promise.race([asked, page.waitForTimeout(500)]), undefined)
    release()
    assert.equal((await asked).parameters.client_id, app.clientId)
    await page.context().close()
  },
)
