// Error messages are in a separate file. Pages without errors never load this file, and no error hangs if the file
// cannot be loaded.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { advice, texts } from '../../pkg/glue/messages.js'
import { booted, call, clickLogin, signIn, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 40_000 }
const MESSAGES = '/strongroom/error-messages.js'

let app

before(async () => {
  app = await startApp()
})
after(() => app.close())

const loaded = () => app.site.requests.filter(({ path }) => path === MESSAGES).length

/** Makes a call without a session on a new page. `route` handles the page's request for the file of messages. */
async function refused(route) {
  const page = await app.open('/empty')
  const unhandled = []
  page.on('pageerror', (error) => unhandled.push(String(error)))
  if (route) await page.route(`**${MESSAGES}`, route)
  await page.goto(`${app.site.origin}/`)
  await booted(page)
  return { page, unhandled, ...(await call(page, `${app.api.url}orders`)) }
}

leftOut('a session without errors never loads the messages', time, async () => {
  const before = loaded()
  const page = await app.open()
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  assert.equal(loaded(), before)
})

// claim: everyday-12
test('an error says what happened and what to do', time, async () => {
  const { error } = await refused()
  assert.equal(error.message, 'there is no session. Call login().')
})

leftOut('without messages an error still has its code', time, async () => {
  const { error } = await refused((route) => route.fulfill({ status: 404 }))
  assert.equal(error.code, 'login_required')
  assert.equal(error.message, 'login_required: … (its text could not be loaded)')
})

for (const [what, body] of Object.entries({
  'are of another version': 'export {}',
  throw: "export const describeError = () => { throw new Error('no') }",
})) {
  leftOut(`if messages ${what} an error still has its code`, time, async () => {
    const { error, unhandled } = await refused((route) =>
      route.fulfill({ contentType: 'text/javascript', body }),
    )
    assert.equal(error.code, 'login_required')
    assert.deepEqual(unhandled, [])
  })
}

leftOut('messages that never load delay only one error', time, async () => {
  const { page, error } = await refused(() => {})
  assert.equal(error.code, 'login_required')
  const start = Date.now()
  for (let i = 0; i < 5; i++) await call(page, `${app.api.url}orders`)
  assert.ok(Date.now() - start < 1500, `five errors took ${Date.now() - start} ms`)
})

leftOut('close() ends the session immediately without loading messages', time, async () => {
  const before = loaded()
  const page = await app.open()
  await signIn(page)
  const session = await page.evaluate(() => {
    auth.close()
    return auth.session
  })
  assert.equal(session, null)
  // The next error does load the messages.
  const { error } = await call(page, `${app.api.url}orders`)
  assert.equal(error.code, 'closed')
  assert.equal(loaded(), before + 1)
})

leftOut('a session ends with its vault before the message is loaded', time, async () => {
  app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
new BroadcastChannel('again').onmessage = () => { try { vault({}) } catch {} }`)
  const page = await app.open('/empty')
  await page.route(`**${MESSAGES}`, () => {})
  await page.goto(`${app.site.origin}/`)
  await signIn(page)
  const isFirst = await page.evaluate(async () => {
    let isSaid = false
    globalThis.failed = new Promise((resolve) => auth.on('failed', ({ code }) => resolve(code)))
    failed.then(() => (isSaid = true))
    new BroadcastChannel('again').postMessage('')
    while (auth.session) await new Promise((resolve) => setTimeout(resolve, 10))
    return !isSaid
  })
  assert.ok(isFirst)
  assert.equal(await page.evaluate(() => failed), 'config_invalid')
  const popups = []
  page.on('popup', (popup) => popups.push(popup))
  await clickLogin(page)
  assert.equal((await page.evaluate(() => login)).error.code, 'config_invalid')
  assert.deepEqual(popups, [])
  app.setConfig({})
})

/** Matches the error codes in the package's source: arguments of these functions, and values of `code`. */
const CODES =
  /(?:createError|refuse|connection\.end|new StrongroomError|fault|fail|giveUp)\(\s*'(\w+)'|\bcode(?: =|:) '(\w+)'|\bfailed\([^)']*'(\w+)'/g

// claim: everyday-12
test('every code that the package reports has advice', async () => {
  const folder = new URL('../../pkg/src/', import.meta.url)
  const found = new Set()
  for (const file of await readdir(folder, { recursive: true })) {
    if (!file.endsWith('.ts')) continue
    const source = await readFile(new URL(file, folder), 'utf8')
    for (const groups of source.matchAll(CODES)) {
      const code = groups.slice(1).find((group) => group)
      assert.ok(advice[code], `${file}: ${code} is not in src/rules/base/error.rs`)
      found.add(code)
    }
  }
  for (const code of [
    'handler_crashed',
    'handler_failed',
    'upstream_unavailable',
    'page_left',
    'frame_blocked',
  ]) {
    assert.ok(found.has(code), `${code} was not found`)
  }
})

leftOut('no external string can contain a message’s code', () => {
  assert.ok(Object.keys(texts).length > 150)
  for (const code of Object.keys(texts)) assert.match(code, /^[\x01-\x06][!-~]$/)
})
