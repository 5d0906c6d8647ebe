// The page *Your devices* of docs/edge-sessions.md, with the code of the guide: one device signs the others out.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { transform } from 'esbuild'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { booted, call, waitUntil } from '../../support/app.mjs'
import { startPage } from '../../support/edge/page.mjs'

const time = { timeout: 60_000 }
const BOB = ACCOUNTS.find(({ username }) => username === 'bob')
let app
let guide

before(async () => {
  guide = await readFile(new URL('../../../docs/edge-sessions.md', import.meta.url), 'utf8')
  const [, code] = /### A page \*Your devices\*.*?```js\n(.*?)```/s.exec(guide)
  app = await startPage('node', {
    coordinator: 'node-redis',
    handler: { session: { admin: true, recheck: 1 } },
  })
  const { files } = app.site
  files['/page.js'] += '\nglobalThis.devices = () => import("/devices.js?" + performance.now())\n'
  files['/devices.js'] = `${code}\nexport { sessions, signOutOtherDevices }\n`
}, time)
after(() => app?.close())

const signedIn = async (account) => {
  const page = await app.open()
  await app.signIn(page, {}, account)
  return page
}
const devices = (page) => page.evaluate(async () => (await devices()).sessions)
const signOutOthers = (page) => page.evaluate(async () => (await devices()).signOutOtherDevices())
const codeOf = async (page) => (await call(page, `${app.api.url}me`)).error?.code

// claim: handler-72
test('a device lists the user’s devices, and signs out the others', time, async () => {
  const [laptop, phone, elsewhere] = [await signedIn(), await signedIn(), await signedIn(BOB)]
  // The list is written after the response to the login.
  await waitUntil(laptop, async () => (await devices()).sessions.length === 2)
  assert.deepEqual(
    (await devices(laptop)).map(({ isCurrent }) => isCurrent),
    [false, true],
  )
  assert.equal((await devices(elsewhere)).length, 1)
  await signOutOthers(laptop)
  await waitUntil(
    phone,
    async (url) => {
      await auth.fetch(url).catch(() => {})
      return auth.session === null
    },
    `${app.api.url}me`,
  )
  assert.equal(await phone.evaluate(() => auth.endReason), 'logged_out')
  for (const page of [laptop, elsewhere]) assert.equal(await codeOf(page), undefined)
  assert.equal((await devices(laptop)).length, 1)
  // The user can sign in again on the other device.
  await phone.reload()
  await booted(phone)
  await app.signIn(phone)
  assert.equal(await codeOf(phone), undefined)
})

test('the guide describes the usual browsers', time, async () => {
  const [, recipe] = /```ts\n(\/\/ describe\.ts.*?)```/s.exec(guide)
  const { code } = await transform(recipe, { loader: 'ts' })
  const { describe } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  const WEBKIT = 'AppleWebKit/605.1.15 (KHTML, like Gecko)'
  const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0'
  for (const [agent, expected] of [
    [`(Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36`, 'Chrome on Windows'],
    [`(X11; Linux x86_64) ${CHROME} Safari/537.36`, 'Chrome on Linux'],
    [`(Linux; Android 10; K) ${CHROME} Mobile Safari/537.36`, 'Chrome on Android'],
    [
      `(iPhone; CPU iPhone OS 19_1 like Mac OS X) ${WEBKIT} CriOS/156.0 Mobile/15E148 Safari/604.1`,
      'Chrome on iOS',
    ],
    [`(Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36 Edg/156.0.0.0`, 'Edge on Windows'],
    [`(Linux; Android 10; K) ${CHROME} Mobile Safari/537.36 EdgA/156.0.0.0`, 'Edge on Android'],
    [
      `(iPhone; CPU iPhone OS 19_1 like Mac OS X) ${WEBKIT} Version/19.0 EdgiOS/156.0 Safari/605.1.15`,
      'Edge on iOS',
    ],
    ['(Macintosh; Intel Mac OS X 10.15; rv:150.0) Gecko/20100101 Firefox/150.0', 'Firefox on macOS'],
    ['(Android 16; Mobile; rv:150.0) Gecko/150.0 Firefox/150.0', 'Firefox on Android'],
    [
      `(iPad; CPU OS 19_1 like Mac OS X) ${WEBKIT} FxiOS/150.0 Mobile/15E148 Safari/605.1.15`,
      'Firefox on iOS',
    ],
    [`(Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Version/26.1 Safari/605.1.15`, 'Safari on macOS'],
    [
      `(iPhone; CPU iPhone OS 18_7 like Mac OS X) ${WEBKIT} Version/26.1 Mobile/15E148 Safari/604.1`,
      'Safari on iOS',
    ],
    [`(Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36 OPR/125.0.0.0`, 'Opera on Windows'],
    [
      `(Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/30.0 Chrome/150.0.0.0 Mobile Safari/537.36`,
      'Samsung Internet on Android',
    ],
  ]) {
    const headers = { 'User-Agent': `Mozilla/5.0 ${agent}` }
    assert.equal(describe(new Request('https://app.example.com/auth/callback', { headers })), expected)
  }
  assert.equal(describe(new Request('https://app.example.com/auth/callback')), 'A browser')
})
