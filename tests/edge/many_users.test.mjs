import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { randomBytes } from 'node:crypto'
import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { ACCOUNTS } from '../support/accounts.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'
import { startProvider } from '../support/provider.mjs'

const ORIGIN = 'https://app.example.com'

/** A store that answers whatever came within some time at once, as replies of Redis arrive in one packet. */
const together = () => {
  const store = inIsolate()()
  let waiting = []
  const batched = (work) =>
    new Promise((resolve, reject) => {
      if (!waiting.length) {
        setTimeout(() => {
          const all = waiting
          waiting = []
          for (const one of all) one()
        }, 20)
      }
      waiting.push(() => work().then(resolve, reject))
    })
  return {
    read: (keys) => batched(() => store.read(keys)),
    swap: (...args) => batched(() => store.swap(...args)),
    wait: (...args) => store.wait(...args),
  }
}

for (const storage of ['sealed-in-cookie', 'in-store']) {
  describe(`users whose requests are answered in one tick, ${storage}`, { timeout: 60_000 }, () => {
    let provider, server, place
    before(async () => {
      provider = await startProvider({
        audience: 'urn:test',
        allowedOrigins: [],
        accessTokenSeconds: 2,
        clients: [
          {
            client_id: 'web',
            token_endpoint_auth_method: 'none',
            id_token_signed_response_alg: 'ES256',
            redirect_uris: [`${ORIGIN}/auth/callback`],
            response_types: ['code'],
            grant_types: ['authorization_code', 'refresh_token'],
          },
        ],
      })
      const coordinator = together()
      const handler = createTokenHandler({
        issuer: provider.origin,
        origin: ORIGIN,
        client: { id: 'web', auth: { method: 'none' } },
        cookie: { keys: randomBytes(32).toString('base64') },
        session: { storage, recheck: 0 },
        coordinator: () => coordinator,
      })
      server = await listen({ handler: toNodeListener(handler) })
      place = { origin: ORIGIN, urls: [server.origin] }
    })
    after(async () => {
      await server?.close()
      await provider?.close()
    })

    const who = async (visitor) => (await visitor.session()).session?.claims.sub
    const home = ({ pathname }) => pathname === '/home'

    test('each gets their own session, at sign-in and when it is refreshed', async () => {
      const accounts = Array.from({ length: 4 }, () => ACCOUNTS.map(({ username }) => username)).flat()
      const visitors = accounts.map(() => new Visitor(place))
      const callback = ({ pathname }) => pathname === '/auth/callback'
      const answers = []
      for (const [i, visitor] of visitors.entries()) {
        answers.push(await visitor.signIn({ account: accounts[i], returnTo: '/home', until: callback }))
      }
      await Promise.all(visitors.map((visitor, i) => visitor.go(answers[i].address, { until: home })))
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      const { session } = await visitors.at(-1).session()
      await new Promise((resolve) => setTimeout(resolve, session.accessTokenExpiresAt - Date.now() + 50))
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      assert.deepEqual(await Promise.all(visitors.map(who)), accounts)
      assert.equal(provider.ledger.refreshes().length, accounts.length)
    })
  })
}
