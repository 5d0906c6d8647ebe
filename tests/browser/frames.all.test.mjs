// An app with a vault in a frame: the rows of docs/frames.md. tests/browser/popup.test.mjs has logins by popup.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { readGuide } from '../recipes/guide.mjs'
import { call, clickLogin, giveConsent, signIn, startApp } from '../support/app.mjs'
import { openAround, startedFrame, surround, userIn } from '../support/frames.mjs'
import { listen } from '../support/listen.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

let app, guide
/** The surrounding pages: of the same site, and of two other sites. */
const around = {}

before(async () => {
  app = await startApp({
    config: { deviceFlow: true, session: { persist: 'sealed' } },
    provider: { deviceFlow: true },
    client: { grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE] },
    site: { host: VAULT_HOSTS.app },
  })
  guide = await readGuide('docs/frames.md')
  around.sameSite = await surround(VAULT_HOSTS.vault, app.site.origin)
  around.otherSite = await surround('127.0.0.1', app.site.origin)
  around.thirdSite = await surround('portal.localhost', app.site.origin)
}, time)
after(() => Promise.all([app, ...Object.values(around)].map((each) => each?.close())))

async function signedInTab() {
  const context = await app.browser.newContext()
  const tab = await app.open('/', context)
  await signIn(tab)
  return { context, tab }
}

test('a frame of the same site has the session of the tabs, and its changes', time, async () => {
  const { context, tab } = await signedInTab()
  const frame = await openAround(context, around.sameSite)
  assert.equal(await userIn(frame), 'alice')
  assert.equal((await call(frame, `${app.api.url}orders`)).value.status, 200)
  await tab.evaluate(() => auth.logout())
  await frame.waitForFunction(() => auth.session === null)
  const [popup] = await Promise.all([frame.page().waitForEvent('popup'), clickLogin(frame)])
  await giveConsent(popup)
  await tab.waitForFunction(() => auth.session?.claims.sub === 'alice')
  await context.close()
})

test('a frame of another site has a session of its own, by a login on another device', time, async () => {
  const { context, tab } = await signedInTab()
  const frame = await openAround(context, around.otherSite)
  assert.equal(await userIn(frame), null)
  const code = await frame.evaluate(
    () =>
      new Promise((resolve) => {
        globalThis.login = settle(auth.login({ mode: 'device', onCode: resolve }))
      }),
  )
  const there = await (await app.browser.newContext()).newPage()
  await there.goto(code.verificationUri)
  await there.fill('input[name=user_code]', code.userCode)
  await there.click('button')
  await there.click('button[value=confirm]')
  await giveConsent(there)
  assert.equal((await frame.evaluate(() => login)).value.claims.sub, 'alice')
  assert.equal((await call(frame, `${app.api.url}orders`)).value.status, 200)
  // The session is there again in this surrounding site, in no other one, and it is not the tab's.
  const page = frame.page()
  await page.reload()
  assert.equal(await userIn(await startedFrame(page)), 'alice')
  assert.equal(await userIn(await openAround(context, around.thirdSite)), null)
  await tab.evaluate(() => auth.logout())
  assert.equal(await userIn(await openAround(context, around.otherSite)), 'alice')
  await context.close()
})

test('a login by redirect stays in the frame, where most providers show nothing', time, async () => {
  app.provider.settings.headers = { 'Content-Security-Policy': "frame-ancestors 'none'" }
  for (const place of [around.sameSite, around.otherSite]) {
    const context = await app.browser.newContext()
    const frame = await openAround(context, place)
    const blocked = frame.page().waitForEvent('console', (message) => /frame-ancestors/.test(message.text()))
    await frame.evaluate(() => void auth.login().catch(() => {}))
    await blocked
    assert.equal(new URL(frame.page().url()).origin, place.origin)
    await context.close()
  }
  app.provider.settings.headers = {}
})

test('the page’s headers allow exactly the guide’s frames', time, async () => {
  const block = guide.block('securityHeaders(')
  const options = new Function(`return ${/\{[^]*\}/.exec(block)[0]}`)()
  const { page } = securityHeaders({ issuer: app.provider.issuer, apis: [] }, options)
  assert.match(page['Content-Security-Policy'], /; frame-ancestors https:\/\/www\.example\.com(;|$)/)
  // In a browser, with the addresses of this test.
  const sources = { 'frame-ancestors': [around.sameSite.origin], 'worker-src': ["'self'"] }
  const own = securityHeaders(app.config, {
    ...options,
    origin: app.site.origin,
    page: sources,
  })
  const undo = app.site.override('/index.html', { headers: own.page })
  const context = await app.browser.newContext()
  assert.equal(await userIn(await openAround(context, around.sameSite)), null)
  const page2 = await context.newPage()
  const blocked = page2.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()))
  await page2.goto(around.otherSite.origin)
  await blocked
  undo()
  await context.close()
})

test(
  'a frame without allow-same-origin has no vault, and one with it and popups can sign in',
  time,
  async () => {
    const sandboxed = async (flags) => {
      const html = `<!doctype html><iframe sandbox="${flags}" src="${app.site.origin}/"></iframe>`
      const handler = (_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html)
      const server = await surround(VAULT_HOSTS.vault, app.site.origin)
      const page = await (await app.browser.newContext()).newPage()
      await page.goto(server.origin)
      return { page, frame: page.frames()[1], server }
    }
    const [flags] = [/sandbox="([^"]+)"/.exec(guide.inline('sandbox='))[1]]
    const allowed = await sandboxed(flags)
    await startedFrame(allowed.page)
    const [popup] = await Promise.all([allowed.page.waitForEvent('popup'), clickLogin(allowed.frame)])
    await giveConsent(popup)
    assert.equal((await allowed.frame.evaluate(() => login)).value.claims.sub, 'alice')
    // Without an origin, the frame does not even get the app's scripts, which the server sends to its own origin only.
    const refused = await sandboxed(flags.replace('allow-same-origin ', ''))
    assert.equal(await refused.frame.evaluate(() => globalThis.auth?.session ?? null), null)
    for (const { server, page } of [allowed, refused]) {
      await page.context().close()
      await server.close()
    }
  },
)
