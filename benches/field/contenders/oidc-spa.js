/** With nothing but the provider and the client, as its documents show. */
import '/config.js'
import { createOidc, oidcEarlyInit } from 'oidc-spa/core'
import { run } from './page.js'

const { shouldLoadApp } = oidcEarlyInit({ BASE_URL: '/' })
if (shouldLoadApp) {
  run(async ({ show, config }) => {
    const oidc = await createOidc({ issuerUri: config.issuer, clientId: config.clientId })
    show(oidc.isUserLoggedIn ? oidc.getDecodedIdToken().sub : null)
    return {
      signIn: () => oidc.login({ doesCurrentHrefRequiresAuth: false }),
      logout: () => oidc.logout({ redirectTo: 'home' }),
      async fetch(url) {
        const { accessToken } = await oidc.getTokens()
        return fetch(url, { headers: { Authorization: `Bearer ${accessToken}` } })
      },
    }
  })
}
