// Renewals that fail on their way, that come late, or that exceed Chromium's limit.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { booted } from '../../support/app.mjs'
import { launchProfile } from '../../support/browser.mjs'
import { ALL, leftOut, rows } from '../../support/combinations.mjs'
import { BOUND, boundCookie, LIFE, RENEWAL, startBound } from '../../support/edge/bound.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startBound('node', { coordinator: 'in-isolate', provider: { accessTokenSeconds: 3600 } })
}, time)
after(() => app?.close())

const user = (page) => page.evaluate(() => auth.session?.claims.sub)

/** Runs a test in the page of a user who has signed in. */
async function use(run, context) {
  const page = await app.open('/', context)
  try {
    await app.signInBound(page)
    await run(page)
  } finally {
    app.failing.clear()
    app.changes.clear()
    await app.setClock(0)
    await page.context().close()
  }
}

/** Ends the bound cookie, and resolves with the code of a call's error while a proxy responds to renewals with this fault. */
async function failWith(page, fault) {
  await app.setClock(LIFE)
  await app.expire(page)
  app.failing.set(RENEWAL, fault)
  const { error } = await app.call(page)
  app.failing.clear()
  return error?.code
}

/** Faults after which the browser renews again. */
const KEPT = {
  500: 500,
  'a reset connection': (response) => response.destroy(),
  ...(ALL && { 502: 502, 503: 503, 504: 504, 'no response': () => {} }),
}

for (const [name, fault] of rows(Object.entries(KEPT))) {
  // claim: handler-78
  test(`${name} in place of a renewal: the session goes on`, time, () =>
    use(async (page) => {
      assert.equal(await failWith(page, fault), 'renewal_failed')
      assert.equal(await user(page), 'alice')
      // Another renewal may have begun before the fault's end.
      if ((await app.call(page)).value !== 200) assert.equal((await app.call(page)).value, 200)
    }),
  )
}

/** Faults after which the browser no longer knows that the session is bound. */
const FORGOTTEN = {
  429: 429,
  'a redirect to a page': (response) => response.writeHead(302, { location: '/' }).end(),
  ...(ALL && { 400: 400, 401: 401, '403 without a challenge': 403, 404: 404 }),
}

for (const [name, fault] of Object.entries(FORGOTTEN)) {
  leftOut(`${name} in place of a renewal: the user signs in again`, time, () =>
    use(async (page) => {
      assert.equal(await failWith(page, fault), 'bound_cookie_missing')
      assert.equal((await app.call(page)).error.code, 'bound_cookie_missing')
      assert.equal(await user(page), undefined)
      // The provider's clock is the real one.
      await app.setClock(0)
      await app.signInBound(page)
      await app.setClock(LIFE)
      await app.expire(page)
      assert.equal((await app.call(page)).value, 200)
    }),
  )
}

/** Shortens the life of bound cookies in the browser to five seconds. */
function shorten() {
  const short = (cookie) => cookie.replace('Max-Age=600', 'Max-Age=5')
  const change = ({ headers }) => ({
    headers: { ...headers, 'set-cookie': (headers['set-cookie'] ?? []).map(short) },
  })
  for (const path of ['/auth/bind', RENEWAL]) app.changes.set(path, change)
}

/** Waits until a browser has no bound cookie any more. */
async function isExpired(context) {
  const [page] = context.pages()
  const has = async () => (await context.cookies()).some(({ name }) => name === BOUND)
  while (await has()) await page.evaluate(() => new Promise(requestAnimationFrame))
}

leftOut('a browser that slept renews the bound cookie', time, () => {
  shorten()
  return use(async (page) => {
    await isExpired(page.context())
    await app.setClock(LIFE)
    assert.equal((await app.call(page)).value, 200)
    assert.equal(await user(page), 'alice')
  })
})

const restart = 'a browser that was closed renews the bound cookie'
leftOut(restart, { ...time, skip: !ALL }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-'))
  shorten()
  let context = await launchProfile(folder, app.launch)
  await use(async (page) => {
    await page.context().close()
    await app.setClock(LIFE)
    context = await launchProfile(folder, app.launch)
    await isExpired(context)
    const count = app.renewals().length
    const next = await app.open('/', context)
    await booted(next)
    assert.equal(await user(next), 'alice')
    assert.equal((await app.call(next)).value, 200)
    assert.ok(app.renewals().length > count)
  }, context)
  await context.close()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
})

leftOut('a registration that a proxy refuses is not repeated', time, async () => {
  const page = await app.open()
  app.failing.set('/auth/bind', 503)
  const refused = once(app.arrivals, '/auth/bind')
  await app.signIn(page)
  await refused
  app.failing.clear()
  const count = app.requestsTo('/auth/bind').length
  await page.reload()
  await booted(page)
  await app.setClock(LIFE)
  assert.equal((await app.call(page)).value, 200)
  await app.setClock(0)
  assert.equal(app.requestsTo('/auth/bind').length, count)
  assert.ok((await page.context().cookies()).every(({ name }) => name !== BOUND))
  await page.context().close()
})

leftOut('a browser that sent no registration gets a second offer ten minutes later', time, async () => {
  const page = await app.open()
  app.failing.set('/auth/bind', 503)
  const refused = once(app.arrivals, '/auth/bind')
  await app.signIn(page)
  await refused
  app.failing.clear()
  const count = app.requestsTo('/auth/bind').length
  await app.setClock(600_000)
  await page.reload()
  await boundCookie(page)
  const [{ headers, status }] = app.requestsTo('/auth/bind').slice(count)
  assert.equal(status, 200)
  assert.match(headers.cookie, /__Host-strongroom=/, 'the registration has the session’s cookie')
  await app.setClock(600_000 + LIFE)
  await app.expire(page)
  assert.equal((await app.call(page)).value, 200)
  await app.setClock(0)
  await page.context().close()
})

leftOut('a registration during an outage is repeated', { ...time, skip: !ALL }, async () => {
  const app = await startBound('node', { coordinator: 'node-redis', provider: { accessTokenSeconds: 3600 } })
  const page = await app.open()
  await app.hold('/auth/bind', () => app.signIn(page), app.store.pause)
  assert.equal((await app.response('/auth/bind', 0)).status, 503)
  app.store.goOn()
  await page.reload()
  await boundCookie(page)
  await app.setClock(LIFE)
  await app.expire(page)
  assert.equal((await app.call(page)).value, 200)
  await app.close()
})

leftOut('Chromium’s limit of signatures signs nobody out', time, async () => {
  const limited = await startBound('node', {
    coordinator: 'in-isolate',
    hasQuota: true,
    provider: { accessTokenSeconds: 3600 },
  })
  const page = await limited.open()
  await limited.signInBound(page)
  /** Ends the bound cookie, and resolves with the call's result and the statuses of the renewal. */
  const callAfter = async (ahead) => {
    await limited.setClock(ahead)
    await limited.expire(page)
    const count = limited.requestsTo(RENEWAL).length
    const { value, error } = await limited.call(page)
    const statuses = limited
      .requestsTo(RENEWAL)
      .slice(count)
      .map(({ status }) => status)
    return [value ?? error.code, ...statuses]
  }
  // A usual session needs one renewal in eight minutes. The limit is six signatures in nine minutes, with the login's.
  assert.deepEqual(await callAfter(LIFE), [200, 403, 200])
  // The response to each renewal has the challenge for the next one.
  for (let i = 2; i <= 5; i++) assert.deepEqual(await callAfter(i * 480_000), [200, 200])
  assert.deepEqual(await callAfter(6 * 480_000), ['renewal_failed'])
  const { status, headers, answered } = limited.requestsTo('/api/orders').at(-1)
  assert.equal(status, 503)
  assert.match(headers['secure-session-skipped'], /^quota_exceeded/)
  assert.ok(Number(answered['retry-after']) > 0)
  assert.equal(await user(page), 'alice')
  await limited.close()
})
