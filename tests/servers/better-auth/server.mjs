/**
 * An authorization server with better-auth and its plugin for OAuth. It stores everything in memory. It also has the API
 * that needs an access token.
 */
import { oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { getAuthTables } from 'better-auth/db'
import { jwt } from 'better-auth/plugins'
import { randomBytes } from 'node:crypto'
import { serve, signInForm } from './setup.mjs'

const { origin, apps, clients, user } = JSON.parse(process.env.SETUP)

const store = {}
const ids = clients.map(({ id }) => id)
const secrets = clients.flatMap(({ secret }) => secret ?? [])
const emailOf = (username) => `${username}@example.com`

const options = {
  baseURL: origin,
  secret: randomBytes(32).toString('base64url'),
  database: memoryAdapter(store),
  emailAndPassword: { enabled: true },
  plugins: [
    jwt(),
    oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      refreshTokenReuseInterval: 60,
      generateClientId: () => ids.shift(),
      generateClientSecret: () => secrets.shift(),
    }),
  ],
}
const auth = betterAuth(options)
for (const model in getAuthTables(options)) store[model] = []

const { username, password } = user
const signedUp = await auth.api.signUpEmail({
  body: { name: 'Alice Liddell', email: emailOf(username), password },
  returnHeaders: true,
})
// Only a user may create clients.
const headers = {
  cookie: signedUp.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; '),
}
for (const { auth: method, redirectUri } of clients) {
  const body = {
    redirect_uris: [redirectUri],
    // A client of type `web` cannot be on loopback.
    application_type: 'native',
    token_endpoint_auth_method: method,
    skip_consent: true,
  }
  await auth.api.adminCreateOAuthClient({ headers, body })
}

const ask = (path, init) => auth.handler(new Request(`${origin}${path}`, init))

const endpoints = {
  async '/login'(request) {
    if (request.method === 'GET') return signInForm()
    const form = await request.formData()
    const { search } = new URL(request.url)
    const response = await ask('/api/auth/sign-in/email', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Origin: origin },
      body: JSON.stringify({
        email: emailOf(form.get('username')),
        password: form.get('password'),
        // The plugin goes on with the authorization request that the page's URL contains.
        oauth_query: search.slice(1),
      }),
    })
    const { url } = await response.clone().json()
    if (!url) return response
    const headers = new Headers(response.headers)
    headers.set('Location', url)
    headers.delete('Content-Length')
    return new Response(null, { status: 302, headers })
  },
  '/v1/me': ({ headers }) =>
    ask('/api/auth/oauth2/userinfo', { headers: { authorization: headers.get('authorization') } }),
}

await serve(endpoints, apps, (request) => auth.handler(request))
