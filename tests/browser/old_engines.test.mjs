// The oldest engines that docs/browsers.md promises: pages and workers without younger built-ins sign in, call the API, sign
// out, and explain a failure. Only what these engines lack is tested, not the engines themselves.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, serveApp, signIn } from '../support/app.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { useCallbackPage } from '../support/callback_page.mjs'
import { leftOut } from '../support/combinations.mjs'
import { serveFallback } from '../support/fallback.mjs'
import { REMOVE_YOUNGER } from '../support/old_engine.mjs'

const time = { timeout: 60_000 }

/** Uses of built-ins that fail in an old engine. */
const YOUNG = ['AbortSignal.any([])', '[1].at(0)', "URL.canParse('a:')", "'a'.replaceAll('a', 'b')"]

const running = []
after(() => Promise.all(running.map((each) => each.close())))
const started = async (promise) => running[running.push(await promise) - 1]

let browser, apps
before(async () => {
  browser = (await started(shareBrowser())).browser
  apps = {
    vault: await started(serveApp()),
    frame: await started(serveApp({ kind: 'dedicated', vaultOrigin: true })),
    callback: await started(serveApp()),
    handler: await started(serveFallback()),
  }
  useCallbackPage(apps.callback, { kind: 'shared' })
  for (const { site, vault: home = site } of Object.values(apps)) {
    home.files['/younger.js'] = REMOVE_YOUNGER
    for (const path of ['/auth.worker.js', '/strongroom/standalone.js'])
      home.files[path] = `import '/younger.js'\n${home.files[path]}`
  }
})

/** Opens a page of the app in an old engine. */
async function open(app, path = '/') {
  const context = await browser.newContext()
  await context.addInitScript(REMOVE_YOUNGER)
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(app.site.origin + path)
  return page
}

/** Orders through the session. Resolves with the status, and with the kinds of progress. */
const order = (page, url) =>
  page.evaluate(async (url) => {
    const kinds = new Set()
    const body = JSON.stringify({ item: 'book', quantity: 1 })
    const headers = { 'Content-Type': 'application/json' }
    const onProgress = ({ type }) => kinds.add(type)
    const response = await auth.fetch(url, { method: 'POST', body, headers, onProgress })
    await response.text()
    return [response.status, ...kinds]
  }, url)

/** Calls the API in each way, and signs out. */
async function useSession(page, { api }) {
  assert.equal((await call(page, `${api.url}orders`)).value.status, 200)
  assert.deepEqual(await order(page, `${api.url}orders`), [201, 'upload', 'download'])
  const aborted = page.evaluate((url) => settle(auth.fetch(url, { signal: AbortSignal.abort() })), api.url)
  assert.equal((await aborted).error.name, 'AbortError')
  assert.equal((await page.evaluate(() => auth.logout())).revoked, true)
  await page.context().close()
}

test('page lacks younger built-ins', time, async () => {
  const page = await open(apps.vault, '/empty')
  for (const use of YOUNG) await assert.rejects(page.evaluate(use), /is not a function/)
  await page.context().close()
})

for (const name of ['vault', 'frame']) {
  // claim: everyday-14
  test(`${name} of an old engine signs in, calls and signs out`, time, async () => {
    const page = await open(apps[name])
    await signIn(page)
    await useSession(page, apps[name])
  })
}

leftOut('callback page of an old engine finishes a login', time, async () => {
  const app = apps.callback
  const page = await open(app, '/orders')
  await booted(page)
  await page.evaluate(() => void auth.login().catch(() => {}))
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.session)
  await useSession(page, app)
})

for (const [name, source] of [
  ['token handler', "'/auth'"],
  ['fallback', "{ shared: create.shared, fallback: '/auth' }"],
]) {
  leftOut(`page of an old engine over a ${name} signs in, calls and signs out`, time, async () => {
    const app = apps.handler
    app.site.files['/page.js'] =
      `import '/tools.js'\nglobalThis.auth = createAuth(${source})\nglobalThis.boot = settle(auth.connect())`
    const page = await open(app, '/orders?WebAssembly')
    assert.equal((await booted(page)).error, undefined)
    assert.equal(await page.evaluate(() => auth.state.via), 'handler')
    await page.evaluate(() => void auth.login().catch(() => {}))
    await giveConsent(page)
    await page.waitForFunction(() => globalThis.auth?.state.session)
    await useSession(page, app)
  })
}

leftOut('standalone worker of an old engine reads its configuration', time, async () => {
  const { site, config } = apps.vault
  site.workers.push('/strongroom/standalone.js')
  site.files['/strongroom/strongroom.json'] = JSON.stringify(config)
  const page = await open(apps.vault, '/empty')
  const session = await page.evaluate(async () => {
    const make = () => new Worker('/strongroom/standalone.js', { type: 'module' })
    const auth = await connect(make)
    return auth.session
  })
  assert.equal(session, null)
  await page.context().close()
})

leftOut('page of an old engine explains failures', time, async () => {
  const page = await open(apps.vault, '/empty')
  const [missing, misspelled, sentence] = await page.evaluate(async () => {
    const { userMessage } = await import('/strongroom/messages.js')
    const at = () => connect(() => new Worker('/strongroom/nothing.js', { type: 'module' }), { timeout: 1 })
    const [{ error }, other] = await Promise.all([
      settle(at()),
      settle(connect(create.shared, { time_out: 1 })),
    ])
    return [error.message, other.error.message, userMessage({ code: 'timeout' })]
  })
  assert.match(missing, /nothing\.js/)
  assert.match(misspelled, /did you mean `timeout`/)
  assert.match(sentence, /took too long/)
  await page.context().close()
})
