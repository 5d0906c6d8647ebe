// A server that restarts fails a moment: what a page or a worker requests once is requested again, and the user sees no
// failure.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { serveApp, giveConsent } from '../support/app.mjs'
import { shareBrowser, together } from '../support/browser.mjs'
import { useCallbackPage } from '../support/callback_page.mjs'
import { leftOut, rows } from '../support/combinations.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }
/** A page of a proxy whose server restarts. */
const BAD_GATEWAY = {
  status: 502,
  headers: { 'Content-Type': 'text/html' },
  body: '<!doctype html><title>502</title>',
}

let app
let use

before(async () => {
  ;[app, use] = await together(serveApp(), shareBrowser())
  app.site.workers.push('/strongroom/standalone.js')
  app.site.files['/strongroom/strongroom.json'] = JSON.stringify(app.config)
})
after(() => Promise.all([use?.close(), app?.close()]))
afterEach(() => app.provider.faults.clear())

const open = async (path) => {
  const page = await (await use.browser.newContext()).newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(app.site.origin + path)
  return page
}

/** Connects to a worker of this kind and file. Resolves with the states, and with the errors that the console shows. */
async function states(kind, file) {
  const page = await open('/empty')
  const printed = []
  page.on('console', (message) => /^strongroom/.test(message.text()) && printed.push(message.text()))
  const seen = await page.evaluate(
    async ([kind, file]) => {
      const Made = { shared: SharedWorker, dedicated: Worker }[kind]
      const auth = createAuth({ [kind]: () => new Made(file, { type: 'module' }) })
      const seen = []
      auth.subscribe(({ status, error }) => seen.push(error?.message ?? status))
      await auth.connect().catch(() => {})
      return seen
    },
    [kind, file],
  )
  await page.context().close()
  return [...seen, ...printed]
}

/** Files of the vault, each with the worker that needs it and the number of failures. */
const FILES = {
  'the worker’s file': ['/auth.worker.js', '/auth.worker.js', 1],
  'a file that the worker imports': ['/strongroom/worker.js', '/auth.worker.js', 1],
  'the module': ['/strongroom/strongroom_bg.wasm', '/auth.worker.js', 3],
  'the standalone worker’s configuration': ['/strongroom/strongroom.json', '/strongroom/standalone.js', 2],
}

for (const kind of rows(['shared', 'dedicated'])) {
  for (const [name, [path, worker, times]] of rows(Object.entries(FILES))) {
    // claim: everyday-17
    test(`connects although the server fails for ${name}, ${kind}`, time, async () => {
      app.site.override(path, { ...BAD_GATEWAY, times })
      assert.deepEqual(await states(kind, worker), ['connecting', 'connected'])
    })
  }
}

leftOut(
  'connects although the server fails for the worker’s file and for the file that tries again',
  time,
  async () => {
    for (const path of ['/auth.worker.js', '/strongroom/reconnect.js'])
      app.site.override(path, { ...BAD_GATEWAY, times: 1 })
    assert.deepEqual(await states('shared', '/auth.worker.js'), ['connecting', 'connected'])
  },
)

leftOut('attempts that fail leave no worker behind', time, async () => {
  const page = await open('/empty')
  // The vault does not respond within the time limit.
  let arrive
  const held = new Promise((resolve) => (arrive = resolve))
  const release = app.site.override('/strongroom/strongroom_bg.wasm', { hold: () => held })
  const codes = await page.evaluate(async () => {
    const codes = []
    for (let n = 0; n < 3; n++) {
      const auth = createAuth({ dedicated: create.dedicated }, { timeout: 0.5 })
      codes.push((await settle(auth.connect())).error.code)
    }
    return codes
  })
  assert.deepEqual(codes, Array(3).fill('worker_timeout'))
  await until(() => page.workers().length === 0)
  release()
  arrive()
  await page.evaluate(() =>
    createAuth({ dedicated: create.dedicated })
      .connect()
      .then(() => {}),
  )
  assert.equal(page.workers().length, 1)
  await page.context().close()
})

for (const endpoint of rows(['discovery', 'jwks'])) {
  // claim: everyday-17
  test(`login succeeds although the provider fails once for ${endpoint}`, time, async () => {
    app.provider.faults.add(endpoint, { answer: { status: 502, body: BAD_GATEWAY.body } })
    const page = await open('/')
    await page.evaluate(async () => void (await boot, auth.login()))
    await giveConsent(page)
    await page.waitForFunction(() => globalThis.auth?.session)
    await page.context().close()
  })
}

leftOut(
  'callback page finishes the login although the server fails for the worker’s file',
  time,
  async () => {
    const { app: other, close } = await startCallbackApp()
    const page = await (await use.browser.newContext()).newPage()
    try {
      await page.goto(`${other.site.origin}/orders`)
      await page.evaluate(async () => void (await boot, auth.login()))
      // The worker has ended with its page.
      await page.waitForURL(/interaction/)
      other.site.override('/auth.worker.js', { ...BAD_GATEWAY, times: 1 })
      await giveConsent(page)
      await page.waitForURL(`${other.site.origin}/orders`)
      assert.deepEqual(await page.evaluate(() => boot), { value: { user: 'alice', code: null } })
    } finally {
      await page.context().close()
      await close()
    }
  },
)

async function startCallbackApp() {
  const app = await serveApp({
    config: { callbackPage: true, session: { persist: 'sealed' } },
    extendedLifetime: false,
  })
  useCallbackPage(app, { extendedLifetime: false, hasApp: false })
  return { app, close: () => app.close() }
}
