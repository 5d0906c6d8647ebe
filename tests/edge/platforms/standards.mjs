import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { startApp } from '../../support/edge/app.mjs'
import { readBody } from '../../support/body.mjs'
import { listen } from '../../support/listen.mjs'

const home = ({ pathname }) => pathname === '/orders'

/**
 * Tests the options that a provider may need: DPoP, pushed authorization requests and back-channel logout.
 *
 * @param {keyof typeof import('../../support/edge/platforms.mjs').PLATFORMS} platform
 * @param {string} coordinator
 */
export function standardsSuite(platform, coordinator) {
  describe(`${platform}: DPoP with nonces and pushed requests`, { concurrency: 1, timeout: 60_000 }, () => {
    let app
    before(async () => {
      app = await startApp(platform, {
        coordinator,
        provider: { accessTokenSeconds: 300, dpop: 'nonce', wantsPushed: true },
        api: { dpop: true },
        handler: { dpop: true },
      })
      app.api.dpop.nonce = 'first'
    })
    after(() => app?.stop())

    // claim: handler-35
    test('each isolate proves possession of the key', async () => {
      const visitor = app.visitor()
      const { address } = await visitor.signIn({ returnTo: '/orders', until: home })
      assert.equal(address.pathname, '/orders', JSON.stringify(await app.told()))
      for (const isolate of [0, 1]) {
        const response = await visitor.call('/api/me', { isolate })
        assert.equal(response.status, 200, await response.text())
        const { headers } = app.api.requests.at(-1)
        assert.match(headers.authorization, /^DPoP /)
        assert.ok(headers.dpop)
      }
      const [request] = app.provider.ledger.authorizationRequests()
      assert.deepEqual(Object.keys(request.query).sort(), ['client_id', 'request_uri'])
    })

    test('new nonce and expired token do not fail calls', async () => {
      const visitor = app.visitor()
      const { ledger, settings } = app.provider
      settings.accessTokenSeconds = 2
      await visitor.signIn({ returnTo: '/orders', until: home })
      await app.provider.letAccessTokenExpire()
      assert.equal((await visitor.call('/api/me')).status, 200)
      assert.deepEqual(
        ledger.refreshes().map(({ outcome }) => outcome),
        ['issued'],
      )
      app.api.dpop.nonce = 'second'
      for (const isolate of [0, 1]) assert.equal((await visitor.call('/api/me', { isolate })).status, 200)
    })
  })

  describe(`${platform}: back-channel logout`, { concurrency: 1, timeout: 60_000 }, () => {
    let app, relay
    before(async () => {
      // The provider needs the URL for logout tokens before the handler starts, so this server forwards them.
      relay = await listen({
        async handler(request, response) {
          const reply = await fetch(`${app.urls[0]}${request.url}`, {
            method: request.method,
            headers: { 'content-type': request.headers['content-type'] },
            body: await readBody(request),
          })
          relay.statuses.push(reply.status)
          response.writeHead(reply.status).end(await reply.text())
        },
      })
      relay.statuses = []
      app = await startApp(platform, {
        coordinator,
        provider: { backchannelLogout: true },
        client: {
          backchannel_logout_uri: `${relay.origin}/auth/backchannel-logout`,
          backchannel_logout_session_required: true,
        },
        handler: { session: { recheck: 0 } },
      })
    })
    after(async () => {
      await app?.stop()
      await relay?.close()
    })

    // claim: handler-44
    test('provider logout ends the session in every isolate', async () => {
      const visitor = app.visitor()
      await visitor.signIn({ returnTo: '/orders', until: home })
      const [one, two, other] = [visitor.copy(), visitor.copy(), app.visitor()]
      await other.signIn({ account: 'bob', returnTo: '/orders', until: home })
      for (const isolate of [0, 1]) assert.equal((await one.call('/api/me', { isolate })).status, 200)
      await visitor.signOutAtProvider(app.provider.origin)
      assert.deepEqual(relay.statuses, [200], JSON.stringify(await app.told()))
      assert.equal((await one.session({ isolate: 0 })).reason, 'provider_ended')
      assert.equal((await two.session({ isolate: 1 })).reason, 'provider_ended')
      assert.equal((await other.session()).session.claims.sub, 'bob', 'another user was signed out')
    })
  })
}

/**
 * Tests sockets, which the handler forwards if the platform can.
 *
 * @param {keyof typeof import('../../support/edge/platforms.mjs').PLATFORMS} platform
 * @param {string} coordinator
 * @param {{ passesSockets: boolean }} options
 */
export function socketsSuite(platform, coordinator, { passesSockets }) {
  describe(`${platform}: sockets`, { concurrency: 1, timeout: 60_000 }, () => {
    let app, visitor
    before(async () => {
      app = await startApp(platform, { coordinator, handler: { base: '/auth' } })
      visitor = app.visitor()
      await visitor.signIn({ returnTo: '/orders', until: home })
    })
    after(() => app?.stop())

    const open = (headers, protocols = []) => {
      const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const url = `${app.urls[0].replace('http', 'ws')}/api/live/header`
      return new WebSocket(url, protocols, { headers: { cookie, ...headers } })
    }
    const refused = async (socket) => {
      const [, response] = await once(socket, 'unexpected-response')
      response.resume()
      return response.statusCode
    }

    // claim: handler-7
    test('refuses sockets from another or unknown origin', async () => {
      assert.equal(await refused(open({ origin: 'https://evil.test' })), 403)
      assert.equal(await refused(open({})), 403)
    })

    if (passesSockets) {
      test('app socket is forwarded with the token', async () => {
        const socket = open({ origin: app.origin })
        await once(socket, 'open')
        socket.send('hello')
        const [message] = await once(socket, 'message')
        assert.equal(message.toString(), 'hello')
        const { headers } = app.api.sockets.at(-1)
        assert.match(headers.authorization, /^Bearer /)
        assert.equal(headers.cookie, undefined)
        socket.close()
        await once(socket, 'close')
      })

      test('handshake whose head contains the token is refused', async () => {
        // control: a head without the token.
        const sound = open({ origin: app.origin }, ['plain'])
        await once(sound, 'open')
        assert.equal(sound.protocol, 'plain')
        sound.close()
        await once(sound, 'close')
        const reflecting = open({ origin: app.origin }, ['reflect'])
        assert.equal(await refused(reflecting), 502)
      })
    } else {
      test('app socket fails on platforms without support', async () => {
        assert.equal(await refused(open({ origin: app.origin })), 501)
      })
    }
  })
}
