// Hostile bodies of an API: a compression bomb and a body without an end, with and without `cache: true`. The browser
// takes a bounded amount of memory, and a page that cancels ends the transfer.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { call, signIn, startApp } from '../support/app.mjs'
import { goBack, mark, WITH_CACHE } from '../support/bfcache.mjs'
import { ALL } from '../support/combinations.mjs'
import { played } from '../support/retries.mjs'

const time = { timeout: 120_000 }
const MB = 1024 * 1024
/** A number of bytes that is more than the buffers of the browser hold, and far less than a bomb's content. */
const MOST = 300 * MB
/** The content of a bomb in bytes. */
const BOMB = 1024 * MB
const BLOCK = Buffer.alloc(MB)

const apps = {}
let flow

before(async () => {
  for (const [name, rule] of Object.entries({ searched: {}, cached: { cache: true } })) {
    const app = await startApp({ provider: { accessTokenSeconds: 3600 }, launch: WITH_CACHE })
    app.api.on('bomb', bomb)
    app.setConfig({ apis: [{ url: app.api.url, ...rule }] })
    const page = await app.open()
    await signIn(page)
    apps[name] = { app, page }
  }
}, time)
after(() => Promise.all(Object.values(apps).map(({ app }) => app.close())))

/** Sends zeros without an end. With `gzip`, a thousand bytes of the content take one byte. */
function bomb({ response, entry, url }) {
  const isZipped = url.searchParams.has('gzip')
  flow = { entry, made: 0 }
  const encoding = isZipped ? { 'Content-Encoding': 'gzip' } : {}
  response.writeHead(200, { 'Cache-Control': 'private, max-age=600', ...encoding })
  const sink = isZipped ? createGzip() : response
  if (isZipped) sink.pipe(response)
  response.on('close', () => sink.destroy())
  const write = () => {
    do flow.made += BLOCK.length
    while (!sink.destroyed && sink.write(BLOCK))
  }
  sink.on('drain', write)
  write()
}

/** Returns the memory of this test's browsers in bytes, without memory that their processes share. */
function memory() {
  const processes = new Map()
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const status = readFileSync(`/proc/${id}/status`, 'utf8')
      const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
      processes.set(Number(id), { parent: field('PPid'), bytes: field('RssAnon') * 1024 })
    } catch {
      // The process has ended.
    }
  }
  const isOurs = (id) => id === process.pid || (processes.has(id) && isOurs(processes.get(id).parent))
  const browsers = [...processes].filter(([id]) => id !== process.pid && isOurs(id))
  return browsers.reduce((sum, [, { bytes }]) => sum + bytes, 0)
}

/** Waits until the server makes no more content for a second. */
async function stalled() {
  for (let before = -1; before !== flow.made;) {
    before = flow.made
    await sleep(1000)
  }
  return flow.made
}

/** Starts a transfer in the page, which reads one piece. Resolves when the browser takes no more, or after a bomb. */
async function begin({ app, page }, kind) {
  await page.evaluate(async (address) => {
    globalThis.held = (await auth.fetch(address)).body.getReader()
    await held.read()
  }, `${app.api.url}on/bomb?${kind}`)
  if (kind === 'plain') return stalled()
  // The kernel's buffers hold gigabytes of a bomb's content, so the server does not stop.
  while (flow.made < BOMB) await sleep(50)
}

for (const rule of ['searched', 'cached']) {
  for (const kind of ['plain', 'gzip']) {
    test(`${rule}, ${kind}: a stalled reader bounds the memory`, time, async (t) => {
      const { app, page } = apps[rule]
      const start = memory()
      await begin(apps[rule], kind)
      const grown = memory() - start
      t.diagnostic(`${flow.made / MB} MB of content, memory grew by ${(grown / MB).toFixed()} MB`)
      assert.ok(grown < MOST, `${grown}`)
      await page.evaluate(() => held.cancel())
      await flow.entry.closed
      assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
    })
  }

  test(
    `${rule}: a page in the back-forward cache ends the transfer`,
    { ...time, skip: !ALL && rule === 'cached' && 'only with --all' },
    played(async () => {
      const { app, page } = apps[rule]
      await mark(page)
      await begin(apps[rule], 'gzip')
      await page.goto(`${app.site.origin}/empty`)
      await flow.entry.closed
      await goBack(page)
      assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
    }),
  )
}

/** Resolves with the memory as soon as the browsers no longer free what earlier tests have left. */
async function settledMemory() {
  let before = Infinity
  let now = memory()
  while (now < before - 10 * MB) {
    await sleep(1000)
    ;[before, now] = [now, memory()]
  }
  return now
}

test('control: memory that a page keeps is noticed', time, async () => {
  const { page } = apps.cached
  const start = await settledMemory()
  await page.evaluate((size) => {
    globalThis.kept = new Uint8Array(size).fill(1)
  }, MOST)
  assert.ok(memory() - start >= MOST * 0.9)
})
