// An attacker begins a login in a browser of its own. Script on a page of the app, in which a user is signed in, lets the
// user's provider answer the attacker's request, and gives the response to the attacker, whose browser opens it.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { readAddress } from '../../support/address_attacks.mjs'
import { booted, waitUntil } from '../../support/app.mjs'
import { NOTHING, PAGE_HEADERS } from '../../support/callback_page.mjs'
import { leftOut } from '../../support/combinations.mjs'
import { startPage } from '../../support/edge/page.mjs'
import { expression } from '../../support/engines/driver.mjs'

const time = { timeout: 60_000 }

/** The time in milliseconds in which script reads an address that it can read, even on a slow machine. */
const LIMIT = 30_000

let app, strict

async function start(provider, cookie) {
  const started = await startPage('node', {
    coordinator: 'in-isolate',
    provider: { accessTokenSeconds: 600, ...provider },
    handler: { consent: undefined, scope: 'openid orders', ...cookie },
  })
  started.site.files['/plain.html'] = 'Not found'
  started.site.headers['/plain.html'] = NOTHING
  started.site.routes['/plain'] = '/plain.html'
  return started
}

before(async () => {
  // The provider is on the same site as the app, so browsers send its cookies also in frames.
  app = await start({ host: 'localhost' })
  // The provider is on another site, so browsers withhold a strict cookie after its redirect.
  const keys = [randomBytes(32).toString('base64url')]
  strict = await start({}, { cookie: { keys, sameSite: 'strict' } })
}, time)
after(async () => {
  await strict?.close()
  await app?.close()
})

/** A control: script of a page without headers reads a response, by a report. Resolves when it has read it. */
async function control(user, url) {
  const page = await user.context().newPage()
  await page.goto(`${app.site.origin}/plain`)
  const { report } = await page.evaluate(expression(readAddress, ['report', url, LIMIT]))
  assert.ok(report)
  await page.close()
}

/**
 * Resolves with the session that the handler reports to the attacker's browser after the attack. An attack that should
 * fail ends as soon as a control that began later has succeeded, or after `limit` milliseconds.
 */
async function attack(app, way, headers, { fails = true, limit = LIMIT } = {}) {
  const user = await app.open()
  await app.signIn(user)
  const attacker = await app.open()
  await booted(attacker)
  const [request] = await Promise.all([
    attacker.waitForRequest((one) => one.url().startsWith(`${app.provider.origin}/auth?`)),
    attacker.evaluate(() => void auth.login().catch(() => {})),
  ])
  const url = new URL(request.url())
  url.searchParams.set('prompt', 'none')
  app.site.headers['/empty.html'] = { ...NOTHING, ...headers }
  await user.goto(`${app.site.origin}/empty`)
  const reading = user.evaluate(expression(readAddress, [way, url.href, limit]))
  if (fails && limit === LIMIT) {
    await waitUntil(user, () => Boolean(globalThis.hasBegun))
    await control(user, url.href)
    await user.evaluate(() => void (globalThis.isOver = true))
  }
  const seen = await reading
  const [response] = Object.values(seen)
  if (response) await attacker.goto(response)
  await attacker.goto(app.site.origin)
  await booted(attacker)
  const session = await attacker.evaluate(() => auth.session?.claims.sub ?? null)
  for (const page of [user, attacker]) await page.context().close()
  return session
}

test(
  // claim: handler-4
  'a page without frame-src: the attacker’s browser gets the user’s session, by a report',
  time,
  async () => {
    assert.equal(await attack(app, 'report', {}, { fails: false }), 'alice')
  },
)

// claim: handler-4
test('a page with the headers of the guide: no session, by a report', time, async () => {
  assert.equal(await attack(app, 'report', PAGE_HEADERS), null)
})

// Any response of the origin without headers can be the document in the window, such as an icon.
const OPENERS = { 'same-origin': null, 'same-origin-allow-popups': 'alice' }

for (const [policy, user] of Object.entries(OPENERS)) {
  test(
    // claim: handler-4
    `a window without headers, opened by a page with ${policy}: ${user ? 'the user’s' : 'no'} session, by a report`,
    time,
    async () => {
      const headers = { ...PAGE_HEADERS, 'Cross-Origin-Opener-Policy': policy }
      assert.equal(await attack(app, 'report in a window', headers, { fails: !user }), user)
    },
  )
}

for (const way of ['frame', 'popup']) {
  // claim: handler-4
  test(`a page without headers: no session, by a ${way}`, time, async () => {
    assert.equal(await attack(app, way, {}), null)
  })
}

leftOut('a page without headers: no session, by a popup over strict cookies', time, async () => {
  // The control needs the provider's cookies in a frame.
  assert.equal(await attack(strict, 'popup', {}, { limit: 4000 }), null)
})
