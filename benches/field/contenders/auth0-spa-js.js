/** With refresh tokens and a store that all tabs share. */
import '/config.js'
import { createAuth0Client } from '@auth0/auth0-spa-js'
import { run } from './page.js'

run(async ({ show, config, home }) => {
  const auth0 = await createAuth0Client({
    domain: config.issuer.replace(/\/$/, ''),
    clientId: config.clientId,
    useRefreshTokens: true,
    cacheLocation: 'localstorage',
    authorizationParams: { redirect_uri: `${home}/callback` },
  })
  const showUser = async () => show((await auth0.getUser())?.sub)
  if (location.pathname === '/callback') {
    await auth0.handleRedirectCallback()
    history.replaceState(null, '', '/')
  }
  await showUser()
  return {
    signIn: () => auth0.loginWithRedirect(),
    logout: () => auth0.logout({ logoutParams: { returnTo: home } }),
    async fetch(url) {
      // auth0-react also looks at the user after each attempt to get a token.
      const token = await auth0.getTokenSilently().finally(showUser)
      return fetch(url, { headers: { Authorization: `Bearer ${token}` } })
    },
  }
})
