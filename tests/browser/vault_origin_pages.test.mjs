// Pages of an app whose vault is on its own origin. The tests cover secrets in the page, the restoring and the end of
// pages, and browsers that support only dedicated workers.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, signInByPopup, startApp } from '../support/app.mjs'
import { comeBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { leftOut } from '../support/combinations.mjs'
import { crash } from '../support/device.mjs'
import { collect, search } from '../support/leak.mjs'
import { played } from '../support/retries.mjs'

const time = { timeout: 90_000 }

const apps = {}

before(async () => {
  const vaultOrigin = true
  apps.shared = await startApp({ vaultOrigin, launch: WITH_CACHE })
  apps.dedicated = await startApp({ vaultOrigin, kind: 'dedicated' })
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

const orders = ({ api }) => `${api.url}orders`
const session = (page) => page.evaluate(() => auth.session)

for (const [mode, login] of Object.entries({ redirect: signIn, popup: signInByPopup })) {
  // claim: origin-5, history-1
  test(`no token or code is in the app’s page: ${mode}`, time, async () => {
    const app = apps.shared
    const page = await app.open()
    const addresses = []
    page.on('framenavigated', (frame) => addresses.push(frame.url()))
    await login(page)
    assert.equal((await call(page, orders(app))).value.status, 200)
    const ofApp = addresses.filter((address) => address.startsWith(app.site.origin))
    const places = { ...(await collect(page, {})), addresses: ofApp }
    const secrets = app.ledger.secrets()
    assert.ok(secrets.some(({ kind }) => kind === 'authorization_code'))
    assert.deepEqual(search(places, secrets), [])
    // Control experiment: the search finds a planted token.
    await page.evaluate((text) => (globalThis.planted = { text }), `${secrets[0].value} `)
    assert.notDeepEqual(search(await collect(page, {}), secrets), [])
  })
}

test(
  'a restored page works again with its frame',
  time,
  played(async () => {
    const app = apps.shared
    const page = await app.open()
    await signIn(page)
    await mark(page)
    await page.goto(`${app.site.origin}/empty`)
    await comeBack(page)
    assert.equal((await call(page, orders(app))).value.status, 200)
    assert.deepEqual(await page.evaluate(() => failures), [])
  }),
)

leftOut('a crashed tab does not affect the others', time, async () => {
  const app = apps.shared
  const page = await app.open()
  await signIn(page)
  const other = await app.open('/', page.context())
  await booted(other)
  // Control: both tabs use one vault.
  assert.equal((await session(other)).claims.sub, 'alice')
  await crash(other)
  assert.equal((await call(page, orders(app))).value.status, 200)
})

for (const [mode, login] of Object.entries({ redirect: signIn, popup: signInByPopup })) {
  leftOut(
    `dedicated workers, a login by ${mode}: the response reaches the tab’s own vault`,
    time,
    async () => {
      const app = apps.dedicated
      const page = await app.open()
      const other = await app.open('/', page.context())
      await booted(other)
      await login(page)
      assert.equal((await session(page)).claims.sub, 'alice')
      assert.equal((await call(page, orders(app))).value.status, 200)
      assert.equal(await session(other), null)
    },
  )
}

leftOut('dedicated workers: a page detects its vault’s end and reconnects', time, async () => {
  const app = apps.dedicated
  const trap = `${app.vault.files['/auth.worker.js']}
    new BroadcastChannel('trap').onmessage = () => close()`
  app.setWorker(trap)
  const page = await app.open()
  await signIn(page)
  const frame = page.frames().find((each) => each.url().startsWith(app.vault.origin))
  await frame.evaluate(() => new BroadcastChannel('trap').postMessage(0))
  await page.waitForFunction(() => failures.length)
  assert.deepEqual(await page.evaluate(() => failures.map(({ code }) => code)), ['vault_crashed'])
  await page.evaluate(() => auth.reconnect())
  assert.equal(await session(page), null)
  assert.equal((await call(page, orders(app))).error.code, 'login_required')
})
