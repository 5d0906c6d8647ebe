/** The document of a client whose identifier is a URL. */
import type { VaultConfig } from '../worker/config.js'
import { invalid, originOf } from './checks.js'

/** The part of the vault's configuration that the document of its client states. */
export type ClientConfig = Pick<
  VaultConfig,
  'clientId' | 'redirectUri' | 'scope' | 'loginScopes' | 'dpop' | 'deviceFlow' | 'customLogin'
>

/** The names and addresses that the authorization server shows when it asks users to allow the access. */
export interface ClientNames {
  /** The app's name. */
  name: string
  /** The app's address, on the origin of `clientId`. Default: that origin. */
  uri?: string
  /** The address of the app's logo. */
  logoUri?: string
  /** The address of the terms of service. */
  tosUri?: string
  /** The address of the privacy policy. */
  policyUri?: string
  /** The origin of the worker's file, against which `redirectUri` is resolved. Default: the origin of `clientId`. */
  origin?: string
}

/** The metadata of a public client (RFC 7591 section 2). */
export interface ClientMetadata {
  client_id: string
  client_name: string
  client_uri: string
  logo_uri?: string
  tos_uri?: string
  policy_uri?: string
  /** `native` if the redirect URI is on loopback, or has a private-use scheme. */
  application_type: 'web' | 'native'
  redirect_uris: [string]
  response_types: ['code']
  grant_types: string[]
  /** All scopes that the client may ask for. Missing if the client asks for no scope. */
  scope?: string
  token_endpoint_auth_method: 'none'
  /** True if the client asks only for tokens that are bound to a key (RFC 9449 section 5.2). */
  dpop_bound_access_tokens: boolean
}

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/**
 * Returns the document of a client whose `client_id` is the document's own URL (OAuth Client ID Metadata Document,
 * draft-ietf-oauth-client-id-metadata-document-02). Authorization servers that support such clients, such as those of
 * the AT Protocol (https://atproto.com/specs/oauth#clients), request the document instead of a registration. Serve it
 * at that URL as `application/json` with status 200: servers follow no redirects (section 5).
 *
 * ```ts
 * clientMetadata(config, { name: 'My App' })
 * // { client_id: 'https://app.example.com/client.json', redirect_uris: ['https://app.example.com/callback'], … }
 * ```
 *
 * @throws `StrongroomError` `config_invalid` if `clientId` cannot be the URL of a document (section 3), or if the
 *   document would contradict it or itself.
 */
export const clientMetadata = (config: ClientConfig, names: ClientNames): ClientMetadata => {
  const { clientId, scope, loginScopes = [], dpop = false, deviceFlow = false } = config
  const client = clientUrl(clientId)
  if (!names.name) throw invalid('`name` is empty, and must be the name that users know')
  const uri = pageUrl('uri', names.uri ?? `${client.origin}/`)
  if (new URL(uri).origin !== client.origin) {
    throw invalid(`\`uri\` is '${uri}', and must have the origin of \`clientId\`, '${client.origin}'`)
  }
  const { logoUri, tosUri, policyUri } = names
  const redirect = redirectUrl(config, names.origin ?? client.origin, client)
  const scopes = [...new Set([...scope.split(' '), ...loginScopes])].filter(Boolean)
  return {
    client_id: clientId,
    client_name: names.name,
    client_uri: uri,
    ...(logoUri !== undefined && { logo_uri: pageUrl('logoUri', logoUri) }),
    ...(tosUri !== undefined && { tos_uri: pageUrl('tosUri', tosUri) }),
    ...(policyUri !== undefined && { policy_uri: pageUrl('policyUri', policyUri) }),
    application_type: redirect.startsWith('https:') ? 'web' : 'native',
    redirect_uris: [redirect],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', ...(deviceFlow ? [DEVICE_GRANT] : [])],
    ...(scopes.length && { scope: scopes.join(' ') }),
    token_endpoint_auth_method: 'none',
    dpop_bound_access_tokens: dpop,
  }
}

/**
 * Parses a client identifier that is a URL. Servers compare it as a string, so it must be in the form in which the
 * browser would request it, without dots in its path.
 */
const clientUrl = (clientId: string): URL => {
  const url = URL.canParse(clientId) ? new URL(clientId) : undefined
  const isDocument = url?.protocol === 'https:' && url.href === clientId && url.pathname !== '/'
  if (url && isDocument && !/[@#]/.test(clientId)) return url
  throw invalid(
    `\`clientId\` is ${JSON.stringify(clientId)}, and must be the https URL of this document, with a path and without user or fragment, such as 'https://app.example.com/client.json'`,
  )
}

/** Returns the redirect URI. Only `customLogin` allows one of another origin than the worker's. */
const redirectUrl = ({ redirectUri, customLogin }: ClientConfig, origin: string, client: URL): string => {
  const home = originOf('origin', origin)
  const refuse = (why: string) => invalid(`\`redirectUri\` is ${JSON.stringify(redirectUri)}, and ${why}`)
  // The vault resolves it against the worker's URL, whose path is not known here.
  if (!/^(\/(?!\/)|[a-z][a-z\d+.-]*:)/i.test(redirectUri)) throw refuse('must begin with a slash or a scheme')
  const url = URL.canParse(redirectUri, home) ? new URL(redirectUri, home) : undefined
  if (!url || url.hash) throw refuse('must be a URL without a fragment')
  if (url.protocol === 'https:' && (customLogin || url.origin === home)) return url.href
  if (!customLogin) throw refuse(`must be an https URL of the app's origin, '${home}'`)
  if (url.protocol === 'http:' && /^(127\.0\.0\.1|\[::1\])$/.test(url.hostname)) return url.href
  const scheme = client.hostname.split('.').reverse().join('.')
  // RFC 8252 section 7.1: the scheme is a domain name of the app, in reverse order.
  if (url.protocol === `${scheme}:`) return redirectUri
  throw refuse(
    `its scheme must be https, http on 127.0.0.1 or [::1], or '${scheme}', the host of \`clientId\``,
  )
}

/** Checks an address that the server shows to users. */
const pageUrl = (name: string, url: string): string => {
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return url
  throw invalid(`\`${name}\` is ${JSON.stringify(url)}, and must be an https URL`)
}
