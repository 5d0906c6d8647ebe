// The page *Your devices* of docs/edge-sessions.md, with the code of the guide: one device signs the others out.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { ACCOUNTS } from '../support/accounts.mjs'
import { booted, call } from '../support/app.mjs'
import { startPage } from '../support/edge/page.mjs'

const time = { timeout: 60_000 }
const BOB = ACCOUNTS.find(({ username }) => username === 'bob')
let app

before(async () => {
  const guide = await readFile(new URL('../../docs/edge-sessions.md', import.meta.url), 'utf8')
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

test('a device lists the user’s devices, and signs out the others', time, async () => {
  const [laptop, phone, elsewhere] = [await signedIn(), await signedIn(), await signedIn(BOB)]
  // The list is written after the response to the login.
  await laptop.waitForFunction(async () => (await devices()).sessions.length === 2)
  assert.deepEqual(
    (await devices(laptop)).map(({ isCurrent }) => isCurrent),
    [false, true],
  )
  assert.equal((await devices(elsewhere)).length, 1)
  await signOutOthers(laptop)
  await phone.waitForFunction(async (url) => {
    await auth.fetch(url).catch(() => {})
    return auth.session === null
  }, `${app.api.url}me`)
  assert.equal(await phone.evaluate(() => auth.endReason), 'logged_out')
  for (const page of [laptop, elsewhere]) assert.equal(await codeOf(page), undefined)
  assert.equal((await devices(laptop)).length, 1)
  // The user can sign in again on the other device.
  await phone.reload()
  await booted(phone)
  await app.signIn(phone)
  assert.equal(await codeOf(phone), undefined)
})
