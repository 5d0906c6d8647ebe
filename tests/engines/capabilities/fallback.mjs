/** A token handler in place of the vault, in a browser without WebAssembly (docs/fallback.md). */
import assert from 'node:assert/strict'
import { call, giveConsent } from '../../support/engines/app.mjs'
import { ignoreNavigation, waitFor } from '../../support/engines/driver.mjs'
import { startFirefox } from '../../support/engines/firefox.mjs'
import { serveFallback } from '../../support/fallback.mjs'

const isSignedIn = () =>
  globalThis.auth?.state.session?.claims.sub === 'alice' && auth.state.via === 'handler'

/** Signs in, calls after the token has expired, reloads and signs out. */
async function useHandler(app, session, query) {
  const tab = await session.open(`${app.site.origin}/orders${query}`)
  await waitFor(tab, () => globalThis.auth?.state.status === 'connected')
  await tab.evaluate(() => void auth.login().catch(() => {})).catch(ignoreNavigation)
  await giveConsent(tab)
  await waitFor(tab, isSignedIn)
  await app.provider.letAccessTokenExpire()
  assert.equal((await call(tab, `${app.api.url}orders`)).value?.status, 200)
  assert.equal(app.ledger.refreshes().length, 1)
  await tab.reload()
  await waitFor(tab, isSignedIn)
  await tab.evaluate(() => auth.logout())
  assert.ok(app.ledger.familyRevoked())
  assert.equal(await tab.evaluate(() => starts), 0)
}

/** @type {import('../suite.mjs').Group[]} */
export const fallback = [
  {
    name: 'fallback',
    serve: () => serveFallback({ provider: { accessTokenSeconds: 2, refreshTokenAlways: true } }),
    capabilities: [
      {
        name: 'without WebAssembly (off in Firefox, removed by the page elsewhere): the token handler is used',
        async see({ app, engine }) {
          // A preference turns WebAssembly off in Firefox. In the other engines, the page removes it.
          const isFirefox = engine.name === 'firefox'
          const own = isFirefox ? await startFirefox({}, { 'javascript.options.wasm': false }) : undefined
          const session = await (own ?? engine).newSession()
          try {
            await useHandler(app, session, isFirefox ? '' : '?WebAssembly')
          } finally {
            await session.close()
            await own?.close()
          }
        },
      },
    ],
  },
]
