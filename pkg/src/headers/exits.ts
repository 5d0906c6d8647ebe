/** The page's `Connection-Allowlist`, for apps whose pages must not send data to other servers (docs/exits.md). */
import { allowlist, literal, pathPattern } from './allowlist.js'
import { invalid, originOf } from './checks.js'
import { endpointsOf, providerOrigins, redirectUriOf } from './endpoints.js'
import type { Exits, HeaderConfig, HeaderOptions, Policy } from './options.js'

/**
 * Returns the list of the app's pages: their own origin, the provider's endpoints with the parameters of this client, the
 * hosts that the policy names, and the links.
 *
 * @throws `StrongroomError` `config_invalid` if there is no `clientId`, `redirectUri` or `authorization_endpoint`, or if a source
 *   of the policy has no host.
 */
export const pageAllowlist = (
  config: HeaderConfig,
  options: HeaderOptions,
  exits: Exits,
  policy: Policy,
): string => {
  const { links = [], webrtc = false, ...unknown } = exits
  for (const name of Object.keys(unknown)) throw invalid(`\`exits\` has no option \`${name}\``)
  if (!Array.isArray(links)) throw invalid('`exits.links` must be an array of addresses')
  const patterns = [
    ...loginPatterns(config, options),
    ...logoutPatterns(config, options),
    ...sourcePatterns(policy, [options.origin, ...providerOrigins(config, options)]),
    ...links.map(linkPattern),
  ]
  return allowlist(patterns, webrtc ? ';webrtc=allow' : '')
}

/**
 * Returns the patterns of the authorization requests that the vault makes. The parameters of this client come first, so the
 * requests of another client do not match. The reference of a pushed request is a URN, because a provider might request any
 * other address (OpenID Connect Core 6.2).
 */
const loginPatterns = (config: HeaderConfig, options: HeaderOptions): string[] => {
  const { clientId, par = 'auto' } = config
  const { authorization_endpoint: endpoint } = endpointsOf(config, options)
  if (endpoint == null) {
    throw invalid(
      '`exits` needs `metadata.authorization_endpoint`, in `pinned` or `metadata` of the configuration or in the option `metadata`: `npx strongroom metadata` writes it',
    )
  }
  originOf('metadata.authorization_endpoint', endpoint)
  if (!clientId) throw invalid('`exits` needs `clientId` in the configuration')
  const client = { client_id: clientId }
  const plain = {
    response_type: 'code',
    ...client,
    redirect_uri: redirectUriOf(config, options, 'exits').href,
  }
  return [
    ...(par === true ? [] : [withParameters(endpoint, plain, '&*')]),
    ...(par === false ? [] : [withParameters(endpoint, client, `&request_uri=${formEncoded('urn:')}*`)]),
  ]
}

/** Returns the patterns of a logout at the provider, with and without more parameters. */
const logoutPatterns = (config: HeaderConfig, options: HeaderOptions): string[] => {
  const { end_session_endpoint: endpoint } = endpointsOf(config, options)
  if (endpoint == null) return []
  originOf('metadata.end_session_endpoint', endpoint)
  return ['', '&*'].map((end) => withParameters(endpoint, { client_id: config.clientId! }, end))
}

/** Returns the pattern of an address with these parameters after those of its own. `end` is a pattern. */
const withParameters = (endpoint: string, parameters: Record<string, string>, end: string): string => {
  const { origin, pathname, search } = new URL(endpoint)
  const pairs = Object.entries(parameters).map((pair) => pair.map(formEncoded).join('='))
  const query = [search.slice(1), ...pairs].filter(Boolean).join('&')
  // After a path, a question mark begins the pattern of the query.
  return `${origin}${literal(pathname)}?${literal(query)}${end}`
}

/** Returns text as the vault writes it into a query (src/rules/codec/form.rs). */
const formEncoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * Returns the patterns of the hosts that the page's policy names, except these origins: a policy may name the provider for a
 * hidden frame, and its login is in the list already.
 */
const sourcePatterns = (policy: Policy, known: string[]): string[] =>
  Object.entries(policy)
    .filter(([name]) => /-src(-elem|-attr)?$|^form-action$|^report-uri$/.test(name))
    .flatMap(([name, sources]) => sources.flatMap((source) => sourcePattern(name, source, known)))

/** Matches a source with a host: scheme, host with port, path. After `*.` there must be two labels. */
const HOST_SOURCE =
  /^(?:(https?|wss?):\/\/)?((?:(?:\*\.)?[a-z\d-]+(?:\.[a-z\d-]+)+|[a-z\d-]+)(?::(?:\d+|\*))?)(\/\S*)?$/i

const sourcePattern = (directive: string, source: string, known: string[]): string[] => {
  // Keywords, data of the page itself, and paths of the own origin (`report-uri`).
  if (/^['/]|^(data|blob|filesystem|mediastream):$/i.test(source)) return []
  const [, scheme = 'https', host = '', path = ''] = HOST_SOURCE.exec(source) ?? []
  if (!host) {
    throw invalid(
      `with \`exits\`, each source of the page's policy must name a host, and \`${directive}\` has '${source}'`,
    )
  }
  // Browsers compare the address of a socket as https.
  const origin = `${scheme.toLowerCase().replace('ws', 'http')}://${host.toLowerCase()}`
  return known.includes(origin)
    ? []
    : [origin + pathPattern(path.replaceAll('*', '')) + (path.endsWith('/') ? '*' : '')]
}

/** Returns the pattern of an entry of `links`, in which only `*` has a meaning. */
const linkPattern = (link: unknown, place: number): string => {
  const name = `exits.links[${place}]`
  if (typeof link !== 'string' || !/^[!#-[\]-~]+$/.test(link)) {
    throw invalid(`\`${name}\` is ${JSON.stringify(link)}, and must be an address of ASCII characters`)
  }
  if (OTHER_PROGRAM.test(link)) return link
  const [, scheme = '', host = '', rest = ''] = /^(https?:\/\/)([^/?#]*)(.*)$/.exec(link) ?? []
  if (!HOST_SOURCE.test(host)) {
    throw invalid(`\`${name}\` is '${link}', and must name a host, such as https://help.example.com/*`)
  }
  originOf(name, scheme + host.replace('*.', ''))
  return scheme + host + pathPattern(rest)
}

/** Matches a scheme that another program handles, such as `mailto:*`. Browsers load addresses of the other schemes. */
const OTHER_PROGRAM =
  /^(?!(?:https?|wss?|data|blob|about|javascript|file|filesystem|[a-z-]*extension):)[a-z][a-z\d+.-]*:\*$/
