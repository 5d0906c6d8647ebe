/**
 * An authorization server with the library @cloudflare/workers-oauth-provider, and with its own API, in Cloudflare's
 * runtime. Requests have the public origin in `Host`.
 */
import { OAuthProvider } from '@cloudflare/workers-oauth-provider'

const FORM = `<!doctype html>
<title>Sign in</title>
<form method="post">
  <input id="username" name="username"><input id="password" name="password" type="password">
  <button>Sign in</button>
</form>`

const apiHandler = { fetch: (_request, _env, ctx) => Response.json({ user: ctx.props.user }) }

const defaultHandler = {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/clients') return createClients(env)
    if (pathname !== '/authorize') return new Response(null, { status: 404 })
    const form = request.method === 'POST' ? await request.clone().formData() : new FormData()
    const { username, password } = JSON.parse(env.SETUP).user
    if (form.get('username') !== username || form.get('password') !== password) {
      return new Response(FORM, { headers: { 'Content-Type': 'text/html' } })
    }
    const asked = await env.OAUTH_PROVIDER.parseAuthRequest(new Request(request.url))
    const { redirectTo } = await env.OAUTH_PROVIDER.completeAuthorization({
      request: asked,
      userId: username,
      metadata: {},
      scope: asked.scope,
      props: { user: username },
    })
    return new Response(null, { status: 302, headers: { Location: redirectTo } })
  },
}

/** Creates the clients. The library chooses their identifiers and secrets, which are returned. */
async function createClients(env) {
  const { clients } = JSON.parse(env.SETUP)
  const created = clients.map(async ({ redirectUri, auth }) => {
    const { clientId, clientSecret } = await env.OAUTH_PROVIDER.createClient({
      redirectUris: [redirectUri],
      clientName: 'the app',
      tokenEndpointAuthMethod: auth,
    })
    return { id: clientId, secret: clientSecret }
  })
  return Response.json(await Promise.all(created))
}

let provider

export default {
  fetch(request, env, context) {
    const { origin } = JSON.parse(env.SETUP)
    provider ??= new OAuthProvider({
      apiRoute: '/api/',
      apiHandler,
      defaultHandler,
      authorizeEndpoint: '/authorize',
      tokenEndpoint: '/token',
      scopesSupported: ['orders', 'offline_access'],
      resourceMetadata: { resource: `${origin}/api/`, authorization_servers: [origin] },
    })
    return provider.fetch(request, env, context)
  },
}
