/** An app with a callback page of its own, for every engine. */
import { CALLBACK_HEADERS, NOTHING, useCallbackPage } from '../callback_page.mjs'
import { VAULT_HOSTS } from '../vault_origin.mjs'
import { giveConsent } from './app.mjs'
import { ignoreNavigation, waitFor } from './driver.mjs'

const provider = { host: `id.${VAULT_HOSTS.app.split('.').slice(1).join('.')}`, accessTokenSeconds: 60 }

/** The configuration of the vault. */
export const CONFIG = { callbackPage: true, scope: 'openid profile offline_access orders' }

/** Signs in by redirect. Resolves with the app's state after the login. */
export async function signIn(tab) {
  await waitFor(tab, () => typeof boot === 'object')
  await tab.evaluate(() => boot)
  await tab.evaluate(() => void auth.login().catch(() => {})).catch(ignoreNavigation)
  await giveConsent(tab)
  await waitFor(tab, () => location.pathname === '/orders' && typeof boot === 'object')
  return tab.evaluate(() => boot)
}

/**
 * Returns a group of capabilities. The app's other pages have no headers, which are the best conditions for an attacker.
 *
 * @param {string} name
 * @param {object} changes Changed options of the vault.
 * @param {import('../../engines/suite.mjs').Capability[]} capabilities
 * @param {'shared' | 'dedicated'} [kind]
 */
export const callbackGroup = (name, changes, capabilities, kind = 'dedicated') => ({
  name,
  app: { kind, config: { ...CONFIG, ...changes }, provider, site: { host: VAULT_HOSTS.app } },
  prepare(app) {
    app.site.pageCsp = ''
    useCallbackPage(app, { kind })
    for (const path of ['/index.html', '/empty.html', '/plain.html']) app.site.headers[path] = NOTHING
    app.site.files['/plain.html'] = 'Not found'
    app.site.routes['/plain'] = '/plain.html'
    app.site.headers['/callback.html'] = CALLBACK_HEADERS
  },
  capabilities,
})
