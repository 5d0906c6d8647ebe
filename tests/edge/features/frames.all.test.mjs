// An app with a token handler in a frame: the rows of docs/frames.md.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, clickLogin, giveConsent } from '../../support/app.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { openAround, surround, userIn } from '../../support/frames.mjs'

const time = { timeout: 60_000 }

let app
const around = {}

before(async () => {
  app = await startPage('node', { coordinator: 'in-isolate', provider: { accessTokenSeconds: 3600 } })
  app.site.pageCsp = app.site.pageCsp.replace(/; frame-ancestors [^;]+/, '')
  // Ports do not matter for the site: `localhost` is of one site, and 127.0.0.1 of another.
  around.sameSite = await surround(new URL(app.site.origin).hostname, app.site.origin)
  around.otherSite = await surround('127.0.0.1', app.site.origin)
}, time)
after(() => Promise.all([app, ...Object.values(around)].map((each) => each?.close())))

async function signedInTab() {
  const tab = await app.open()
  await app.signIn(tab)
  return tab
}

test('a frame of the same site has the session of the tabs, and signs in by popup', time, async () => {
  const tab = await signedInTab()
  const frame = await openAround(tab.context(), around.sameSite)
  assert.equal(await userIn(frame), 'alice')
  assert.equal((await call(frame, `${app.api.url}me`)).value.status, 200)
  await tab.evaluate(() => auth.logout())
  await frame.waitForFunction(() => auth.session === null)
  const [popup] = await Promise.all([frame.page().waitForEvent('popup'), clickLogin(frame)])
  await giveConsent(popup)
  await frame.waitForFunction(() => auth.session?.claims.sub === 'alice')
  await tab.context().close()
})

test(
  'a frame of another site has no session, and signs in neither by popup nor by redirect',
  time,
  async () => {
    const tab = await signedInTab()
    const frame = await openAround(tab.context(), around.otherSite)
    assert.equal(await userIn(frame), null)
    assert.equal((await call(frame, `${app.api.url}me`)).error.code, 'login_required')
    await clickLogin(frame)
    assert.equal((await frame.evaluate(() => login)).error.code, 'unsupported')
    await tab.context().close()
  },
)

for (const place of ['sameSite', 'otherSite']) {
  test(`the handler refuses a login by redirect in a frame: ${place}`, time, async () => {
    const page = await app.open('/empty')
    const frame = await openAround(page.context(), around[place])
    const refused = frame.page().waitForResponse((response) => response.url().includes('/auth/login'))
    await frame.evaluate(() => void auth.login().catch(() => {}))
    assert.equal((await refused).status(), 403)
    await page.context().close()
  })
}
