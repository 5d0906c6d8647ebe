/** Tests which events a user's session survives, for each setup of the vault. */
import assert from 'node:assert/strict'
import { mark } from '../../support/bfcache.mjs'
import { booted, call, signIn } from '../../support/engines/app.mjs'
import { waitFor } from '../../support/engines/driver.mjs'
import { serveEscrow } from '../../support/escrow.mjs'
import { mostly, mostlyKept } from '../../support/retries.mjs'

const orders = (app) => `${app.api.url}orders`

/** Resolves with `kept`, or with `lost` if a call fails with an error code that matches `lost`. */
async function became({ app }, tab, lost = /^login_required$/) {
  await booted(tab)
  const { value, error } = await call(tab, orders(app))
  if (value) assert.equal(value.status, 200)
  else assert.match(error.code, lost)
  return value ? 'kept' : 'lost'
}

async function leaveAndComeBack(scene) {
  const { tab } = await scene.visit()
  await signIn(tab)
  await mark(tab)
  await tab.goto(`${scene.app.site.origin}/empty`)
  await tab.back()
  await waitFor(tab, () => location.pathname === '/' && typeof boot === 'object')
  const isCached = await tab.evaluate(() => globalThis.mark === 'the same')
  // Chromium may end the worker of a page that is in the back-forward cache.
  return isCached ? became(scene, tab, /^(login_required|vault_crashed)$/) : 'not in the cache'
}

/** Reloads the page that has the session. The user signed in by popup, so the browser has not left the page before. */
async function reload(scene) {
  const { tab } = await scene.visit()
  await signIn(tab)
  await tab.reload()
  return became(scene, tab)
}

const reloadWithEscrow = async (scene) => {
  const { tab } = await scene.visit('/empty')
  await tab.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' })
    await navigator.serviceWorker.ready
  })
  await tab.goto(`${scene.app.site.origin}/`)
  await signIn(tab)
  await tab.reload()
  return became(scene, tab)
}

const usual = { provider: { accessTokenSeconds: 3600 } }
const group = (name, app, see, { prepare, ...more } = {}) => ({
  name,
  app: { ...usual, ...app },
  prepare,
  capabilities: [{ name, see, ...more }],
})

const sealed = { session: { persist: 'sealed' } }
const escrow = { session: { persist: 'escrow' } }

/** @type {import('../suite.mjs').Group[]} */
export const reloads = [
  {
    name: 'reloads with another tab',
    app: { ...usual, extendedLifetime: false },
    capabilities: [
      {
        name: 'reload while another tab is open, memory',
        async see(scene) {
          const { tab, another } = await scene.visit()
          await signIn(tab)
          const second = await another()
          await booted(second)
          await second.reload()
          assert.equal(await became(scene, second), 'kept')
          return 'kept'
        },
      },
      {
        name: 'reload of the only tab: memory, `SharedWorker`',
        // On a busy machine, Chromium may end the worker so late that the new page gets it.
        see: (scene) =>
          mostly(
            () => reload(scene),
            (outcome) => outcome === 'lost',
          ),
      },
      {
        name: 'left, and back from the back-forward cache: memory, `SharedWorker`',
        see: (scene) => mostlyKept(() => leaveAndComeBack(scene)),
      },
    ],
  },
  group('reload of the only tab: memory, `extendedLifetime`', { extendedLifetime: true }, reload),
  group('reload of the only tab: memory, `Worker`', { kind: 'dedicated' }, reload),
  group(
    'reload of the only tab: sealed, `SharedWorker`',
    { extendedLifetime: false, config: sealed },
    reload,
  ),
  group('reload of the only tab: sealed, `Worker`', { kind: 'dedicated', config: sealed }, reload),
  group(
    'reload of the only tab: escrow, `SharedWorker`',
    { extendedLifetime: false, config: escrow },
    reloadWithEscrow,
    {
      prepare: serveEscrow,
      varies: {
        webkit: 'It was kept in one run and lost in another. With `new Worker(…)` it was kept in all',
      },
    },
  ),
  group('reload of the only tab: escrow, `Worker`', { kind: 'dedicated', config: escrow }, reloadWithEscrow, {
    prepare: serveEscrow,
  }),
]
