/**
 * The contenders. Each contender signs the user in, and calls an API with a token. Each library is set up as its
 * documentation recommends for keeping tokens away from the page.
 *
 * @typedef {object} Contender
 * @property {() => unknown} login Navigates to the provider.
 * @property {() => Promise<unknown>} callback Handles the return from the provider.
 * @property {() => Promise<boolean>} join Runs in another tab. Resolves with true if that tab has the session too.
 * @property {typeof fetch} fetch
 */
import { createAuth0Client } from '@auth0/auth0-spa-js'
import { OidcClient, TokenAutomaticRenewMode } from '@axa-fr/oidc-client'
import { connectShared, tokenFromBench } from './connect.js'

const { clientId: client, issuer, scope } = CONFIG
/** The issuer identifier without the slash at its end. */
const PROVIDER = issuer.replace(/\/$/, '')
const CALLBACK = `${location.origin}/callback`

/** @type {Record<string, () => Promise<Contender>>} */
export const CONTENDERS = {
  async strongroom() {
    const auth = await connectShared()
    return {
      login: () => auth.login(),
      callback: () => auth.handleCallback(),
      join: async () => auth.session !== null,
      fetch: auth.fetch,
    }
  },

  /** Uses the library's worker mode: refresh tokens in a worker, access tokens in the page's memory. */
  async auth0() {
    const auth0 = await createAuth0Client({
      domain: PROVIDER,
      clientId: client,
      useRefreshTokens: true,
      cacheLocation: 'memory',
      authorizationParams: { redirect_uri: CALLBACK, scope, prompt: 'consent' },
    })
    return {
      login: () => auth0.loginWithRedirect(),
      callback: () => auth0.handleRedirectCallback(),
      join: () => auth0.isAuthenticated(),
      async fetch(url) {
        const token = await auth0.getTokenSilently()
        return fetch(url, { headers: { Authorization: `Bearer ${token}` } })
      },
    }
  },

  /** Keeps all tokens in a service worker, which adds them to the page's requests. */
  async axa() {
    const oidc = OidcClient.getOrCreate(() => fetch)({
      client_id: client,
      redirect_uri: CALLBACK,
      scope,
      authority: PROVIDER,
      service_worker_relative_url: '/OidcServiceWorker.js',
      service_worker_only: true,
      token_automatic_renew_mode: TokenAutomaticRenewMode.AutomaticOnlyWhenFetchExecuted,
      token_renew_mode: 'access_token_invalid',
      refresh_time_before_tokens_expiration_in_second: 0,
      preload_user_info: false,
      extras: { prompt: 'consent' },
    })
    return {
      login: () => oidc.loginAsync('/'),
      callback: () => oidc.loginCallbackAsync(),
      join: async () => (await oidc.tryKeepExistingSessionAsync()) !== false && !!oidc.tokens,
      fetch: oidc.fetchWithTokens(fetch),
    }
  },

  /** Calls the API without a library, with a token from the bench. Only the login goes through the vault. */
  async plain() {
    const auth = await connectShared()
    let token
    return {
      login: () => auth.login(),
      async callback() {
        await auth.handleCallback()
        token = await tokenFromBench()
      },
      join: async () => ((token = await tokenFromBench()), true),
      fetch: (url) => fetch(url, { headers: { Authorization: `Bearer ${token}` } }),
    }
  },
}
