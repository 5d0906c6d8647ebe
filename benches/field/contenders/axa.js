/** With the service worker, and renewal before tokens expire, as by default. */
import '/config.js'
import { OidcClient } from '@axa-fr/oidc-client'
import { run } from './page.js'

/** The events after which its React binding shows that the session is over. */
const ENDS = [
  'logout_from_another_tab',
  'logout_from_same_tab',
  'refreshTokensAsync_error',
  'syncTokensAsync_error',
]

run(async ({ show, config, home }) => {
  const oidc = OidcClient.getOrCreate()({
    client_id: config.clientId,
    redirect_uri: `${home}/callback`,
    silent_redirect_uri: `${home}/silent-callback`,
    scope: 'openid profile offline_access',
    authority: config.issuer,
    service_worker_relative_url: '/OidcServiceWorker.js',
    service_worker_only: false,
    // By default 120 seconds.
    refresh_time_before_tokens_expiration_in_second: config.lifetime / 5,
  })
  if (location.pathname === '/silent-callback') return oidc.silentLoginCallbackAsync()
  const showUser = () => show(oidc.tokens?.idTokenPayload.sub)
  oidc.subscribeEvents((name) => {
    if (ENDS.includes(name)) show(null)
    if (name === 'token_acquired' || name === 'token_renewed') showUser()
  })
  await oidc.tryKeepExistingSessionAsync()
  if (location.pathname === '/callback') {
    await oidc.loginCallbackAsync()
    location.href = '/'
    return undefined
  }
  showUser()
  return {
    signIn: () => oidc.loginAsync('/'),
    logout: () => oidc.logoutAsync('/'),
    fetch: oidc.fetchWithTokens(fetch),
  }
})
