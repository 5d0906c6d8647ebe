// A Chromium whose user has blocked the data of all sites: no cookies, no storage, no shared workers.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startApp } from '../support/app.mjs'
import { ARGS, findBrowser, playwrightChromium } from '../support/browser.mjs'

const time = { timeout: 60_000 }
const BLOCK = 2

let app, folder, context

before(async () => {
  app = await startApp({ plainFetch: true })
  folder = await mkdtemp(join(tmpdir(), 'strongroom-blocked-'))
  await mkdir(join(folder, 'Default'))
  const profile = { default_content_setting_values: { cookies: BLOCK } }
  await writeFile(join(folder, 'Default', 'Preferences'), JSON.stringify({ profile }))
  context = await playwrightChromium().launchPersistentContext(folder, {
    executablePath: findBrowser(),
    args: ARGS,
  })
})
after(async () => {
  await context?.close()
  await rm(folder, { recursive: true, force: true })
  await app?.close()
})

/** Creates a client in a page. Resolves with the error of `connect()`, or with the names of its workers. */
const connectWith = async (kinds) => {
  const page = await app.open('/empty', context)
  const result = await page.evaluate(async (kinds) => {
    globalThis.made = []
    const make = {
      shared: () => (made.push('shared'), new SharedWorker('/auth.worker.js', { type: 'module' })),
      dedicated: () => (made.push('dedicated'), new Worker('/auth.worker.js', { type: 'module' })),
    }
    globalThis.auth = createAuth(Object.fromEntries(kinds.map((kind) => [kind, make[kind]])), { timeout: 8 })
    const { error } = await settle(auth.connect())
    return { error, made }
  }, kinds)
  return { page, ...result }
}

test('control: the browser blocks the data of the page', time, async () => {
  const page = await app.open('/empty', context)
  assert.equal(
    await page.evaluate(() =>
      settle(Promise.resolve().then(() => localStorage)).then(({ error }) => error?.name),
    ),
    'SecurityError',
  )
})

test('a dedicated worker takes the place of the shared one', time, async () => {
  const { error, made } = await connectWith(['shared', 'dedicated'])
  assert.equal(error, undefined)
  assert.deepEqual(made, ['dedicated'])
})

test('a login that needs storage is storage_unavailable', time, async () => {
  const { page } = await connectWith(['shared', 'dedicated'])
  const { error } = await page.evaluate(() => settle(auth.login()))
  assert.equal(error.code, 'storage_unavailable')
  assert.equal(new URL(page.url()).pathname, '/empty')
})

test('a shared worker alone is worker_failed, with a reason', time, async () => {
  const { error } = await connectWith(['shared'])
  assert.equal(error.code, 'worker_failed')
  assert.match(error.message, /blocks this site's data/)
})
