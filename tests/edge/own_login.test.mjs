// An attacker begins a login in a browser of its own. Script on a page of the app, in which a user is signed in, lets the
// user's provider answer the attacker's request, and gives the response to the attacker, whose browser opens it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readAddress } from '../support/address_attacks.mjs'
import { booted } from '../support/app.mjs'
import { NOTHING, PAGE_HEADERS } from '../support/callback_page.mjs'
import { startPage } from '../support/edge/page.mjs'
import { expression } from '../support/engines/driver.mjs'

const time = { timeout: 60_000 }

let app

before(async () => {
  app = await startPage('node', {
    coordinator: 'in-isolate',
    // The provider is on the same site as the app, so browsers send its cookies also in frames.
    provider: { host: 'localhost', accessTokenSeconds: 600 },
    handler: { consent: undefined, scope: 'openid orders' },
  })
  app.site.files['/plain.html'] = 'Not found'
  app.site.headers['/plain.html'] = NOTHING
  app.site.routes['/plain'] = '/plain.html'
}, time)
after(() => app?.close())

/** Resolves with the session of the attacker's browser after the attack, as the handler reports it. */
async function attack(way, headers) {
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
  const seen = await user.evaluate(expression(readAddress, [way, url.href, 4000]))
  const [response] = Object.values(seen)
  if (response) await attacker.goto(response)
  await attacker.goto(app.site.origin)
  await booted(attacker)
  const session = await attacker.evaluate(() => auth.session?.claims.sub ?? null)
  for (const page of [user, attacker]) await page.context().close()
  return session
}

test(
  'a page without frame-src: the attacker’s browser gets the user’s session, by a report',
  time,
  async () => {
    assert.equal(await attack('report', {}), 'alice')
  },
)

test('a page with the headers of the guide: no session, by a report', time, async () => {
  assert.equal(await attack('report', PAGE_HEADERS), null)
})

for (const way of ['frame', 'popup']) {
  test(`a page without headers: no session, by a ${way}`, time, async () => {
    assert.equal(await attack(way, {}), null)
  })
}
