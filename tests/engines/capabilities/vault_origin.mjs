/** Tests of a vault on its own origin, as in docs/vault-origin.md. */
import assert from 'node:assert/strict'
import { booted, call, ended, session, signIn, signInByRedirect } from '../../support/engines/app.mjs'

const orders = (app) => `${app.api.url}orders`

const app = { vaultOrigin: true, provider: { accessTokenSeconds: 3600 } }

const byRedirect = async ({ app, visit }) => {
  const { tab } = await visit('/?tab=2#part')
  const outcome = await signInByRedirect(tab, { returnTo: '/inbox?open=7#top' })
  assert.deepEqual(outcome, { value: { returnTo: '/inbox?open=7#top' } })
  assert.equal(await tab.url(), `${app.site.origin}/callback`)
  assert.equal((await session(tab)).claims.sub, 'alice')
  assert.equal((await call(tab, orders(app))).value.status, 200)
  assert.equal(app.api.requests.at(-1).headers.origin, app.vault.origin)
  assert.equal(app.ledger.tokenRequests().at(-1).origin, app.vault.origin)
}

const byPopup = async ({ app, visit }) => {
  const { tab } = await visit()
  const since = app.site.requests.length
  const { value } = await signIn(tab)
  // The popup ends at the vault's origin.
  assert.ok(!app.site.requests.slice(since).some(({ path }) => path === '/callback'))
  assert.equal(value.claims.sub, 'alice')
  assert.equal((await call(tab, orders(app))).value.status, 200)
  assert.equal(await tab.url(), `${app.site.origin}/`)
}

/** @type {import('../suite.mjs').Group[]} */
export const vaultOrigin = [
  {
    name: 'a vault on an origin of its own',
    app,
    capabilities: [
      { name: 'vault origin: login by redirect', see: byRedirect },
      { name: 'vault origin: login by popup', see: byPopup },
      {
        name: 'vault origin: login by popup, provider and app with `Cross-Origin-Opener-Policy: same-origin`',
        async see(scene) {
          const headers = { 'Cross-Origin-Opener-Policy': 'same-origin' }
          const { settings } = scene.app.provider
          const release = scene.app.site.override('/index.html', { headers })
          settings.headers = headers
          try {
            await byPopup(scene)
          } finally {
            settings.headers = {}
            release()
          }
        },
      },
      {
        name: 'vault origin: in a page that is cross-origin isolated',
        async see(scene) {
          const headers = {
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp',
          }
          const release = scene.app.site.override('/index.html', { headers })
          try {
            const { tab } = await scene.visit()
            assert.equal(await tab.evaluate(() => crossOriginIsolated), true)
            assert.equal((await signIn(tab)).value.claims.sub, 'alice')
            assert.equal((await call(tab, orders(scene.app))).value.status, 200)
          } finally {
            release()
          }
        },
      },
      {
        name: 'vault origin: script of the app finds no database and no cookie, and cannot access the frame',
        async see({ visit }) {
          const { tab } = await visit()
          await signIn(tab)
          const found = await tab.evaluate(async () => {
            const attempt = (action) => {
              try {
                return String(action())
              } catch ({ name }) {
                return name
              }
            }
            /**
             * Tries to reach a worker at this URL. The worker responds, or the browser refuses with an exception or an
             * event.
             */
            const reach = (url) =>
              new Promise((resolve) => {
                const refused = () => resolve('refused')
                try {
                  const worker = new SharedWorker(url, { type: 'module', extendedLifetime: true })
                  worker.onerror = refused
                  const { port1, port2 } = new MessageChannel()
                  port1.onmessage = () => resolve('answers')
                  worker.port.postMessage('strongroom', [port2])
                } catch {
                  refused()
                }
              })
            const { contentWindow } = document.querySelector('iframe')
            return {
              databases: await indexedDB.databases(),
              cookies: document.cookie,
              document: attempt(() => contentWindow.document),
              storage: attempt(() => contentWindow.indexedDB),
              worker: await reach(new URL('/auth.worker.js', document.querySelector('iframe').src)),
            }
          })
          const refused = 'SecurityError'
          assert.deepEqual(found, {
            databases: [],
            cookies: '',
            document: refused,
            storage: refused,
            worker: 'refused',
          })
        },
      },
      {
        name: 'vault origin: logout in every tab',
        async see({ visit }) {
          const { tab, another } = await visit()
          await signIn(tab)
          const second = await another()
          await booted(second)
          await second.evaluate(() => auth.logout())
          assert.deepEqual([await ended(tab), await ended(second)], ['logged_out', 'logged_out'])
        },
      },
    ],
  },
  {
    name: 'a vault on an origin of its own, with one worker a tab',
    app: { ...app, kind: 'dedicated', config: { session: { persist: 'sealed' } } },
    capabilities: [
      { name: 'vault origin, with a `Worker` per tab, sealed: login by redirect', see: byRedirect },
      { name: 'vault origin, with a `Worker` per tab, sealed: login by popup', see: byPopup },
      {
        name: 'vault origin, with a `Worker` per tab, sealed: reload of the only tab',
        async see({ app, visit }) {
          const { tab } = await visit()
          await signIn(tab)
          await tab.reload()
          await booted(tab)
          assert.equal(await tab.evaluate(() => auth.resumed), 'storage')
          assert.equal((await call(tab, orders(app))).value.status, 200)
          return 'kept'
        },
      },
    ],
  },
]
