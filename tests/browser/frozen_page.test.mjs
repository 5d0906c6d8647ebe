// Two tabs whose vaults share one store. One vault keeps the lock of the store: the browser has frozen its page in the middle
// of a refresh, or the disk is full. The other vault takes the lock over only if the page is frozen.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { freeze } from '../support/device.mjs'

const time = { timeout: 60_000 }
/** Lifetime of an access token in seconds. */
const LIFETIME = 2

/** Script of the worker that lets all writes fail while the page says so. */
const FULL_DISK = `
let isFull = false
new BroadcastChannel('disk').onmessage = ({ data }) => (isFull = data)
const { put } = IDBObjectStore.prototype
IDBObjectStore.prototype.put = function (...record) {
  const request = put.apply(this, record)
  if (isFull) this.transaction.abort()
  return request
}
`

let app

before(async () => {
  app = await startApp({
    kind: 'dedicated',
    launch: { whole: true },
    proxied: true,
    provider: { accessTokenSeconds: LIFETIME, leewaySeconds: 60 },
    // The lock is taken over after the longest refresh and five seconds.
    config: { session: { persist: 'sealed' }, requestTimeout: 4, refreshTimeout: 4 },
  })
  app.site.files['/disk.js'] = FULL_DISK
  app.setWorker(`
import '/disk.js'
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
`)
})
after(() => app?.close())

const outcome = async (page) => {
  const { value, error } = await call(page, `${app.api.url}orders`)
  return value?.status ?? error.code ?? error.name
}

/** Calls the API until the call succeeds. Returns the errors of the earlier calls. */
async function callUntilSuccess(page) {
  const failures = []
  for (;;) {
    const result = await outcome(page)
    if (result === 200) return failures
    failures.push(result)
  }
}

/** Opens two tabs of a signed-in user, and waits until the access token has expired. */
async function tabsWithExpiredToken() {
  Object.assign(app.provider.settings, { leewaySeconds: 60, accessTokenSeconds: LIFETIME })
  const first = await app.open()
  await signIn(first)
  const other = await app.open('/', first.context())
  await booted(other)
  await app.ledger.accessTokenExpired()
  const { requests } = app.proxies.provider
  const since = requests.length
  const tokenRequests = () => requests.slice(since).filter(({ endpoint }) => endpoint === 'token').length
  return { first, other, tokenRequests }
}

/** Freezes the page in the middle of a refresh. Returns a function that ends both. */
async function freezeInRefresh(page) {
  let answer
  const hold = new Promise((resolve) => (answer = resolve))
  app.proxies.provider.faults.add('token', { when: 'after', hold })
  const rotated = app.ledger.until(({ type }) => type === 'token_request')
  void outcome(page).catch(() => {})
  await rotated
  const [other] = page
    .context()
    .pages()
    .filter((each) => each !== page)
  await other.bringToFront()
  const thaw = await freeze(page)
  return () => {
    answer()
    return thaw()
  }
}

// claim: everyday-4
test('another vault takes the lock of a frozen one over, and both go on', time, async () => {
  const { first, other, tokenRequests } = await tabsWithExpiredToken()
  const thaw = await freezeInRefresh(first)
  assert.deepEqual([...new Set(await callUntilSuccess(other))], ['provider_unavailable'])
  assert.ok(tokenRequests() >= 2, 'the refresh token was sent once more')

  await thaw()
  await callUntilSuccess(first)
  // A vault with a consumed token would end the session now.
  app.provider.settings.leewaySeconds = 0
  for (const page of [first, other, first]) {
    await app.ledger.accessTokenExpired()
    await callUntilSuccess(page)
  }
  assert.equal(app.ledger.familyRevoked(), false)
})

leftOut('of two waiting vaults, one takes the lock over', time, async () => {
  const { first, other, tokenRequests } = await tabsWithExpiredToken()
  const third = await app.open('/', first.context())
  await booted(third)
  await freezeInRefresh(first)
  app.provider.settings.accessTokenSeconds = 300
  await Promise.all([other, third].map(callUntilSuccess))
  assert.equal(tokenRequests(), 2)
})

leftOut('the lock of a vault that cannot store its tokens is not taken over', time, async () => {
  const { first, other, tokenRequests } = await tabsWithExpiredToken()
  const setDisk = (isFull) => first.evaluate((full) => new BroadcastChannel('disk').postMessage(full), isFull)
  await setDisk(true)
  app.provider.settings.accessTokenSeconds = 300
  await callUntilSuccess(first)
  const end = Date.now() + 14_000
  while (Date.now() < end) assert.equal(await outcome(other), 'provider_unavailable')
  assert.equal(tokenRequests(), 1)
  await setDisk(false)
  await callUntilSuccess(other)
  assert.equal(tokenRequests(), 1)
})
