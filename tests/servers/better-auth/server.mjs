/**
 * An authorization server with better-auth and its plugin for OAuth. It stores everything in memory. It also has the API
 * that needs an access token.
 */
import { DEVICE_CODE_GRANT_TYPE, oauthDeviceAuthorization, oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { getAuthTables } from 'better-auth/db'
import { jwt } from 'better-auth/plugins'
import { randomBytes } from 'node:crypto'
import { serve, signInForm } from './setup.mjs'

const { origin, apps, clients, user } = JSON.parse(process.env.SETUP)

const grants = ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT_TYPE]
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
      grantTypes: grants,
      generateClientId: () => ids.shift(),
      generateClientSecret: () => secrets.shift(),
    }),
    oauthDeviceAuthorization({ verificationUri: `${origin}/device` }),
  ],
}
const auth = betterAuth(options)
for (const model in getAuthTables(options)) store[model] = []

const { username, password } = user
const signedUp = await auth.api.signUpEmail({
  body: { name: 'Alice Liddell', email: emailOf(username), password },
  returnHeaders: true,
})
await createClients(cookieOf(signedUp.headers))

/** Creates the clients. Only a user may do this. */
async function createClients(cookie) {
  const { adapter } = await auth.$context
  for (const client of clients) {
    const body = {
      redirect_uris: [client.redirectUri],
      post_logout_redirect_uris: [client.postLogoutRedirectUri],
      enable_end_session: true,
      // A client of type `web` cannot be on loopback.
      application_type: 'native',
      token_endpoint_auth_method: client.auth,
      grant_types: grants,
      skip_consent: true,
      ...(client.publicKey && { jwks: { keys: [client.publicKey] } }),
    }
    await auth.api.adminCreateOAuthClient({ headers: { cookie }, body })
    // An administrator could only enter an address that is public.
    await adapter.update({
      model: 'oauthClient',
      where: [{ field: 'clientId', value: client.id }],
      update: { backchannelLogoutUri: client.backChannelLogoutUri },
    })
  }
}

/** Returns the cookies of a response as a browser sends them. */
function cookieOf(headers) {
  return headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ')
}

/** Signs in with the form of a page. */
async function signIn(form, more) {
  const init = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Origin: origin },
    body: JSON.stringify({
      email: emailOf(form.get('username')),
      password: form.get('password'),
      ...more,
    }),
  }
  return auth.handler(new Request(`${origin}/api/auth/sign-in/email`, init))
}

const endpoints = {
  async '/login'(request) {
    if (request.method === 'GET') return signInForm()
    const { search } = new URL(request.url)
    // The plugin continues with the authorization request that the page's URL contains.
    const response = await signIn(await request.formData(), { oauth_query: search.slice(1) })
    const { url } = await response.clone().json()
    if (!url) return response
    const headers = new Headers(response.headers)
    headers.set('Location', url)
    headers.delete('Content-Length')
    return new Response(null, { status: 302, headers })
  },
  async '/device'(request) {
    if (request.method === 'GET') return signInForm()
    const response = await signIn(await request.formData())
    const headers = { cookie: cookieOf(response.headers) }
    const userCode = new URL(request.url).searchParams.get('user_code')
    await auth.api.deviceVerify({ headers, query: { user_code: userCode } })
    await auth.api.deviceApprove({ headers, body: { userCode } })
    return new Response('Done')
  },
  '/v1/me': (request) => auth.api.oauth2UserInfo({ request, headers: request.headers, asResponse: true }),
}

await serve(endpoints, apps, (request) => auth.handler(request))
