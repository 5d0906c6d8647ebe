/**
 * An app that signs in and uses a tool of one MCP server. The suite starts it once for each scenario:
 *
 *   node tests/mcp/client.mjs vault|handler URL
 *
 * Vault and handler have a fixed configuration. This program writes it, from what the app's developer finds out once:
 *
 * - the server's issuer, `resource` and scopes: from its metadata (RFC 9728) and from its response to a request without a
 *   token. The developer trusts no metadata of another resource, so `resource-mismatch` tests this program only.
 * - the scope that a tool demands later (`TOOL_SCOPES`): from the server's documentation, which the suite lacks.
 * - the client: the one that the suite has registered, or else the URL of a metadata document. With `REGISTER`, this
 *   program registers a client (RFC 7591).
 *
 * All else, such as the provider's metadata, is up to vault and handler.
 */
import {
  checkResourceAllowed,
  discoverAuthorizationServerMetadata,
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
  registerClient,
} from '@modelcontextprotocol/client'
import { useHandler } from './handler.mjs'
import { useTools } from './tools.js'
import { useVault } from './vault.mjs'

/** The document that the suite knows. */
const CLIENT_ID = 'https://conformance-test.local/client-metadata.json'

const TOOL_SCOPES = ['mcp:write']

const [kind, url] = process.argv.slice(2)
const registered = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}')
const { issuer, ...server } = await learn()
await (kind === 'vault' ? useVault : useHandler)({ url, issuer, toolScopes: TOOL_SCOPES, client, ...server })

/** Resolves with what the server tells about itself. */
async function learn() {
  let challenge
  const watched = async (...request) => {
    const response = await fetch(...request)
    if (response.status === 401) challenge ??= extractWWWAuthenticateParams(response)
    return response
  }
  await useTools(url, watched).catch(() => {})
  const found = await discoverOAuthProtectedResourceMetadata(url, challenge)
  const { resource, scopes_supported: scopes = [] } = found
  if (!checkResourceAllowed({ requestedResource: url, configuredResource: resource })) {
    throw new Error(`the metadata of ${url} are those of ${resource}`)
  }
  return { issuer: found.authorization_servers[0], resource, scope: challenge?.scope ?? scopes.join(' ') }
}

/** Resolves with the client that has this redirect URI: its identifier and authentication. */
async function client(redirectUri) {
  const { client_id: id, client_secret: secret } = registered
  if (id) return { id, auth: { method: 'client_secret_basic', secret } }
  if (!process.env.REGISTER) return { id: CLIENT_ID, auth: { method: 'none' } }
  const metadata = await discoverAuthorizationServerMetadata(issuer)
  const clientMetadata = {
    client_name: 'strongroom',
    application_type: 'native',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: metadata.token_endpoint_auth_methods_supported[0],
  }
  const made = await registerClient(issuer, { metadata, clientMetadata })
  const method = made.token_endpoint_auth_method ?? 'none'
  return { id: made.client_id, auth: { method, ...(method !== 'none' && { secret: made.client_secret }) } }
}
