// The session of a page over a token handler: its timers.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
const { handlerSession } = await load('page/token-handler/handler-session.ts')

test('read that fails near a limit is not repeated at once if the handler asks for a long wait', async () => {
  const timers = mock.method(globalThis, 'setTimeout', () => 0)
  const expiresAt = Date.now() + 60_000
  const session = { startedAt: 1, expiresAt, idleExpiresAt: expiresAt, accessTokenExpiresAt: expiresAt }
  const answers = [
    Response.json({ session }),
    new Response(null, { status: 503, headers: { 'Retry-After': '99999999999' } }),
  ]
  const requests = { base: '/auth', send: async () => answers.shift() }
  const state = handlerSession(requests, { notice: 1000 }, new EventTarget(), () => {})
  await state.read()
  const [check] = timers.mock.calls.at(-1).arguments
  await check()
  await settled()
  const delay = timers.mock.calls.at(-1).arguments[1]
  timers.mock.restore()
  state.close()
  // The longest delay that a timer keeps. It fires at once after a longer one.
  assert.equal(delay, 2 ** 31 - 1)
})
