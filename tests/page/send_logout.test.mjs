// Logouts at a token handler whose proxy or network fails, in virtual time.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
/** The page's clock in milliseconds. */
let now = 0
mock.method(performance, 'now', () => now)
const { sendLogout } = await load('page/token-handler/send-logout.ts')

const DONE = Response.json({ url: '/auth/logout/provider', ended: true, revoked: true })
const ofProxy = (status, headers) => new Response('<!doctype html>', { status, headers })
const ofHandler = (status, code) => ofProxy(status, { 'x-strongroom': code })
const lost = () => {
  throw new TypeError('Failed to fetch')
}

/**
 * Sends a logout whose attempts get these responses, the last one again and again, and lets time pass. Resolves with the
 * values of `X-Strongroom`, and with the outcome.
 */
async function logOut(responses, { startedAt = 1764, isForAny = false, seconds = 60 } = {}) {
  const sent = []
  const send = async (headers) => {
    sent.push(headers['x-strongroom'])
    const response = responses[Math.min(sent.length, responses.length) - 1]
    return typeof response === 'function' ? response() : response
  }
  const began = now
  let outcome, tookUntil
  sendLogout('/auth/logout', send, startedAt, isForAny)
    .then(
      ({ status, headers }) => headers.get('x-strongroom') ?? status,
      ({ message }) => message,
    )
    .then((value) => ([outcome, tookUntil] = [value, now]))
  for (let n = 0; n < seconds * 4; n++) {
    await settled()
    now += 250
    mock.timers.tick(250)
  }
  await settled()
  return { sent, outcome, seconds: (tookUntil - began) / 1000 }
}

for (const [what, failure] of Object.entries({
  'a network error': lost,
  ...Object.fromEntries([502, 503, 504].map((status) => [status, ofProxy(status)])),
}))
  test(`logout after ${what} is sent again for its session`, async () => {
    const { sent, outcome, seconds } = await logOut([failure, failure, DONE])
    assert.deepEqual([sent, outcome], [['1 1764', '1 1764', '1 1764'], 200])
    assert.ok(seconds < 4, `${seconds}`)
  })

test('logout fails when its time limit has passed', async () => {
  for (const [failure, what] of [
    [ofProxy(502), 'responded with status 502'],
    [lost, 'did not respond'],
  ]) {
    const { sent, outcome, seconds } = await logOut([failure])
    assert.equal(outcome, `/auth/logout ${what}`)
    assert.ok(seconds > 14 && seconds <= 20, `${seconds}`)
    assert.ok(sent.length > 4 && sent.length < 12, `${sent.length}`)
  }
})

test('response that may not change is the last', async () => {
  for (const response of [
    ofHandler(503, 'coordinator_unavailable'),
    ofHandler(403, 'cross_site_request'),
    ofProxy(404),
    ofProxy(500),
    ofProxy(200),
  ]) {
    const { sent } = await logOut([ofProxy(502), response, DONE])
    assert.equal(sent.length, 2, `${response.status}`)
  }
})

test('closed client sends no further logout', async () => {
  const closed = () => {
    throw Object.assign(new Error('closed'), { code: 'closed' })
  }
  const { sent, outcome } = await logOut([ofProxy(502), closed])
  assert.deepEqual([sent.length, outcome], [2, 'closed'])
})

test('logout without a known session is sent once', async () => {
  const { sent, outcome } = await logOut([ofProxy(502)], { startedAt: null })
  assert.deepEqual([sent, outcome], [['1'], '/auth/logout responded with status 502'])
})

test('logout for any session names one when it is sent again', async () => {
  const { sent } = await logOut([lost, ofProxy(503), DONE], { isForAny: true })
  assert.deepEqual(sent, ['1', '1 1764', '1 1764'])
})

test('logout is sent again if the attempt without its session fails', async () => {
  const { sent, outcome } = await logOut([ofHandler(403, 'cross_site_request'), lost, DONE])
  assert.deepEqual([sent, outcome], [['1 1764', '1', '1 1764'], 200])
})

test('handler that does not know the header gets one attempt', async () => {
  const refused = ofHandler(403, 'cross_site_request')
  const first = await logOut([refused, DONE])
  assert.deepEqual([first.sent, first.outcome], [['1 1764', '1'], 200])
  const again = await logOut([ofProxy(502), refused, DONE])
  assert.deepEqual(
    [again.sent, again.outcome],
    [['1 1764', '1 1764'], '/auth/logout responded with status 502'],
  )
})
