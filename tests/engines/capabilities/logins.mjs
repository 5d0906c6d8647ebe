/** Tests of signing in and out. */
import assert from 'node:assert/strict'
import { booted, call, ended, session, signIn, signInByRedirect } from '../../support/engines/app.mjs'

const orders = (app) => `${app.api.url}orders`

/** @type {import('../suite.mjs').Group[]} */
export const logins = [
  {
    name: 'login and logout',
    app: { provider: { accessTokenSeconds: 3600 } },
    capabilities: [
      {
        name: 'login by redirect, and back to a clean address',
        async see({ app, visit }) {
          const { tab } = await visit('/?tab=2#part')
          const outcome = await signInByRedirect(tab, { loginHint: 'alice', returnTo: '/inbox?open=7#top' })
          assert.deepEqual(outcome, { value: { returnTo: '/inbox?open=7#top' } })
          assert.equal(await tab.url(), `${app.site.origin}/callback`)
          const { claims, state } = await session(tab)
          assert.deepEqual([claims.sub, state], ['alice', 'active'])
          assert.equal((await call(tab, orders(app))).value.status, 200)
          const [request] = app.api.requests
          assert.equal(request.authorization, `Bearer ${app.ledger.newest('access_token').value}`)
          assert.equal(request.headers.origin, app.site.origin)
          assert.equal(request.headers.cookie, undefined)
        },
      },
      {
        name: 'login by popup, which closes by itself',
        async see({ app, visit }) {
          const { tab } = await visit()
          const { value } = await signIn(tab)
          assert.equal(value.claims.sub, 'alice')
          assert.equal((await call(tab, orders(app))).value.status, 200)
          assert.equal(await tab.url(), `${app.site.origin}/`)
        },
      },
      {
        name: 'logout, which revokes the refresh token if the provider supports it',
        async see({ app, visit }) {
          const { tab } = await visit()
          await signIn(tab)
          await tab.evaluate(() => auth.logout())
          assert.equal(await ended(tab), 'logged_out')
          assert.equal(app.ledger.familyRevoked(), true)
          assert.equal(app.ledger.revocations().at(-1).kind, 'refresh_token')
          assert.equal((await call(tab, orders(app))).error.code, 'login_required')
        },
      },
      {
        name: 'another browser session does not share the session',
        async see({ app, visit }) {
          const { tab } = await visit()
          await signIn(tab)
          const other = await visit()
          await booted(other.tab)
          assert.equal(await session(other.tab), null)
          assert.equal((await call(other.tab, orders(app))).error.code, 'login_required')
        },
      },
    ],
  },
  {
    name: 'login with one worker a tab',
    app: { kind: 'dedicated', provider: { accessTokenSeconds: 3600 } },
    capabilities: [
      {
        name: 'login by redirect with a `Worker`',
        async see({ app, visit }) {
          const { tab } = await visit()
          assert.deepEqual(await signInByRedirect(tab, { returnTo: '/inbox' }), {
            value: { returnTo: '/inbox' },
          })
          assert.equal((await call(tab, orders(app))).value.status, 200)
        },
      },
      {
        name: 'login by popup in a `Worker`, through the page of the redirect URI',
        async see({ app, visit }) {
          const { tab } = await visit()
          const { value } = await signIn(tab)
          assert.equal(value.claims.sub, 'alice')
          assert.equal((await call(tab, orders(app))).value.status, 200)
        },
      },
    ],
  },
]
