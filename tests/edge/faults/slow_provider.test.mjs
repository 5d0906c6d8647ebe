// A provider whose response to a refresh takes longer than a client waits. The client gets 503. The
// refresh continues, and its late response serves the next request.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { leftOut, rows } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'

/** The time limit for a request in seconds (`requestTimeout`). */
const LIMIT = 2

for (const platform of rows(['node', 'workerd'])) {
  describe(`${platform}: a slow provider`, { timeout: 120_000 }, () => {
    let app
    let release = () => {}
    before(async () => {
      app = await startApp(platform, { isolates: 2, handler: { requestTimeout: LIMIT, refreshTimeout: 60 } })
    })
    after(() => {
      release()
      return app?.stop()
    })

    // claim: handler-46
    test('late response serves the next request', async () => {
      const { faults, ledger } = app.provider
      const visitor = await visitorWithExpiredToken()
      faults.add('token', { hold: new Promise((resolve) => (release = resolve)) })
      const isHeld = faults.taken()
      const since = Date.now()
      const refused = await visitor.call('/api/me', { isolate: 0 })
      const took = Date.now() - since
      assert.equal(`${refused.status} ${refused.headers.get('x-strongroom')}`, '503 provider_unavailable')
      assert.ok(refused.headers.has('retry-after'))
      assert.ok(took > LIMIT * 900 && took < LIMIT * 10_000, `${took} ms`)
      await isHeld
      // Another client waits for the same refresh.
      const waiting = visitor.copy().call('/api/me', { isolate: 1 })
      release()
      for (const response of [await waiting, await visitor.call('/api/me', { isolate: 0 })])
        assert.equal(response.status, 200)
      assert.deepEqual(
        ledger.refreshes().map(({ outcome }) => outcome),
        ['issued'],
      )
      assert.deepEqual(await app.told(), [])
    })

    // The handler reads the header in the same way on each platform.
    if (platform !== 'node') return

    leftOut('Retry-After in the past is no wait', async () => {
      const headers = { 'Retry-After': 'Sun, 06 Nov 1994 08:49:37 GMT' }
      const response = await refreshed({ status: 503, headers, body: 'Busy' })
      assert.equal(response.status, 200)
    })

    leftOut("Retry-After as a date counts from the provider's time", async () => {
      const provider = Date.now() - 3_600_000
      const at = (seconds) => new Date(provider + seconds * 1000).toUTCString()
      const headers = { Date: at(0), 'Retry-After': at(300) }
      // The next test needs an isolate that was not told to wait.
      const response = await refreshed({ status: 503, headers, body: 'Busy' }, 1)
      assert.equal(response.status, 503)
      const seconds = Number(response.headers.get('retry-after'))
      assert.ok(seconds > 200 && seconds <= 300, `${seconds} s`)
    })

    leftOut('Retry-After of any length is a wait', async () => {
      const headers = { 'Retry-After': '9'.repeat(22) }
      const response = await refreshed({ status: 503, headers, body: 'Busy' })
      assert.equal(response.status, 503)
      assert.ok(Number(response.headers.get('retry-after')) > 500, 'ten minutes')
    })

    async function visitorWithExpiredToken() {
      const visitor = app.visitor()
      app.provider.settings.accessTokenSeconds = 2
      await visitor.signIn()
      await app.provider.letAccessTokenExpire()
      return visitor
    }

    /** Resolves with the response to a request whose refresh first gets `answer`. */
    async function refreshed(answer, isolate = 0) {
      const visitor = await visitorWithExpiredToken()
      app.provider.faults.add('token', { answer })
      return visitor.call('/api/me', { isolate })
    }
  })
}
