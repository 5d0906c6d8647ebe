// The inspector needs the larger module. An app that uses neither the inspector nor another
// option of this module never loads it. An app that uses the inspector loads no other module.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }
const LEAN = '/strongroom/strongroom_bg.wasm'
const EXTENDED = '/strongroom/strongroom_extended_bg.wasm'

let app

before(async () => {
  app = await startApp()
})
after(() => app?.close())
afterEach(() => {
  app.setConfig({})
  app.site.requests.length = 0
})

const modules = () => app.site.requests.map(({ path }) => path).filter((path) => path.endsWith('.wasm'))

/** Returns a worker file that selects the core's module with the option `wasm`. */
const workerWith = (config, wasm) => `import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify({ ...app.config, ...config })}, { wasm: '${wasm}' })`

/** Signs in on a new page that calls the API once. */
async function used() {
  const page = await app.open()
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  return page
}

test('a session that is not inspected never loads the extended module', time, async () => {
  const page = await used()
  assert.equal((await page.evaluate(() => settle(auth.inspect()))).error.code, 'unsupported')
  assert.deepEqual([...new Set(modules())], [LEAN])
})

test('an inspected session gets events and holdings from that module alone', time, async () => {
  app.setConfig({ inspect: true })
  const page = await used()
  assert.deepEqual([...new Set(modules())], [EXTENDED])
  const { holdings, events } = await page.evaluate(async (url) => {
    const events = new Promise((resolve) => {
      const heard = []
      auth.on('trace', ({ event }) => heard.push(event) === 2 && resolve(heard))
    })
    await (await auth.fetch(url)).text()
    return { holdings: await auth.inspect(), events: await events }
  }, `${app.api.url}orders`)
  assert.deepEqual(events, ['call_sent', 'call_answered'])
  assert.deepEqual(
    holdings.map(({ kind }) => kind),
    ['access_token', 'refresh_token', 'id_token'],
  )
  for (const { fingerprint } of holdings) assert.match(fingerprint, /^[0-9a-f]{8}$/)
})

test('the extended module inspects nothing without inspect: true', time, async () => {
  app.setWorker(workerWith({}, EXTENDED))
  const page = await used()
  assert.equal((await page.evaluate(() => settle(auth.inspect()))).error.code, 'unsupported')
  assert.deepEqual([...new Set(modules())], [EXTENDED])
})
