// Runs the first token handler of docs/edge.md with the demo's provider and API.
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { after, before, test } from 'node:test'
import { giveConsent } from '../../support/app.mjs'
import { launchBrowser } from '../../support/browser.mjs'
import { newFolder } from '../../support/edge/bundle.mjs'
import { start } from '../../support/edge/child.mjs'
import { freePort } from '../../support/listen.mjs'
import { startServers } from '../../support/servers.mjs'

const time = { timeout: 60_000 }
const ends = []
let origin, issuer, page

/**
 * Resolves with the text of the guide's file. Each address in the text that is a key of `addresses` is replaced by the
 * key's value.
 */
async function written(addresses) {
  const guide = await readFile(new URL('../../../docs/edge.md', import.meta.url), 'utf8')
  let [, script] = /```js\n\/\/ server\.mjs\n(.*?)```/s.exec(guide)
  for (const [from, to] of Object.entries(addresses)) {
    assert.ok(script.includes(from), from)
    script = script.replaceAll(from, to)
  }
  return script
}

before(async () => {
  const port = await freePort()
  origin = `http://localhost:${port}`
  const servers = await startServers({ handlers: [origin] })
  ends.push(() => servers.close())
  ;({ issuer } = servers.provider)
  const folder = await newFolder()
  ends.push(() => folder.remove())
  const addresses = {
    'http://127.0.0.1:4401': issuer,
    'http://127.0.0.1:4402/v1/': servers.api.url,
    8080: `${port}`,
  }
  await writeFile(join(folder.path, 'server.mjs'), await written(addresses))
  const { PATH } = process.env
  const server = start(process.execPath, ['server.mjs'], { env: { PATH }, cwd: folder.path })
  ends.push(server.stop)
  assert.equal(await server.firstLine, origin)
  const browser = await launchBrowser()
  ends.push(() => browser.close())
  page = await browser.newPage()
}, time)
after(async () => {
  while (ends.length) await ends.pop()()
})

test('user signs in, calls the API and signs out', time, async () => {
  await page.goto(origin)
  await page.click('a')
  await giveConsent(page)
  await page.waitForSelector('text=Hello, alice.')
  await page.click('text=Orders')
  await page.waitForFunction(() => document.querySelector('pre').textContent)
  const [order] = JSON.parse(await page.textContent('pre'))
  assert.equal(typeof order.item, 'string')
  const cookies = await page.context().cookies(origin)
  assert.deepEqual(
    cookies.map(({ name, httpOnly }) => [name, httpOnly]),
    [['strongroom', true]],
  )
  assert.equal(await page.evaluate(() => document.cookie), '')
  await page.click('text=Sign out')
  await page.waitForURL(`${issuer}/session/end?*`)
  await page.goto(origin)
  await page.waitForSelector('text=Sign in')
})
