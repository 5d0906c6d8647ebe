/**
 * The response headers of an app and its vault's worker, generated from the vault's configuration, and the document of
 * a client whose identifier is a URL. These functions run in the app's build or on its server. docs/headers.md shows
 * how to use them.
 *
 * ```ts
 * import { securityHeaders } from 'strongroom/headers'
 * import { config } from './auth.config.ts'   // the object that the worker's file passes to vault()
 * securityHeaders(config, { origin: 'https://app.example.com', worker: '/auth.worker.js' }).worker
 * // { 'Content-Security-Policy': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src …", … }
 * ```
 *
 * @module
 */
import { StrongroomError } from './page/errors/error.js'
import type { ApiRule, ProviderMetadata, VaultConfig } from './worker/config.js'

export { StrongroomError }

/** The part of the vault's configuration that decides the worker's `connect-src`. */
export type HeaderConfig = Pick<VaultConfig, 'identity' | 'issuer' | 'metadata' | 'userInfo'> & {
  apis: Pick<ApiRule, 'url' | 'webSocket'>[]
}

/** Options of {@link securityHeaders}. */
export interface HeaderOptions {
  /** The app's origin, such as `https://app.example.com`. */
  origin: string
  /**
   * The path of the worker's file, such as `/auth.worker.js`. If its name contains a hash, give its folder with a slash
   * at the end, such as `/assets/`. All files in the folder then get the worker's headers, and each of them may become
   * a worker.
   */
  worker: string
  /**
   * The provider's metadata, if its endpoints have other origins than the issuer: the content of
   * `/.well-known/openid-configuration`. The configuration's `metadata` replaces members of it.
   */
  metadata?: Partial<ProviderMetadata>
  /**
   * More sources of the page's policy, by directive: `{ 'img-src': ['https://cdn.example.com'] }`. A directive that is
   * `'none'` without this option gets only these sources.
   */
  page?: Record<string, string[]>
  /**
   * Names of Trusted Types policies. With this option, strings become code or a worker's address only by one of these
   * policies. docs/deployment.md shows the policy for the worker's address.
   */
  trustedTypes?: string[]
  /**
   * Allows `<base>` elements with addresses of the app's origin, which the router of Angular needs. Default false: an
   * injected `<base>` then cannot change what the page's relative addresses mean.
   */
  base?: boolean
  /** Adds the headers that make the page cross-origin isolated. Default false. */
  isolated?: boolean
  /** The path of the app's service worker, if there is one (`strongroom/escrow`). */
  serviceWorker?: string
}

/** The values of response headers by name. */
export type ResponseHeaders = Record<string, string>

/** The headers of the app's pages, and of the worker's file. */
export interface SecurityHeaders {
  page: ResponseHeaders
  worker: ResponseHeaders
}

/** Policies by directive. */
type Policy = Record<string, string[]>

const invalid = (message: string) => new StrongroomError('config_invalid', `${message}.`)

/** The endpoints that the worker requests. The page navigates to all others. */
const ENDPOINTS = [
  'token_endpoint',
  'jwks_uri',
  'revocation_endpoint',
  'pushed_authorization_request_endpoint',
  'device_authorization_endpoint',
] as const

/**
 * Returns the headers of the app's pages and of the worker's file. The worker's policy allows the worker's own origin,
 * and the origins of the issuer, of the APIs, of the profile address, and of the endpoints in `metadata` that the worker
 * requests.
 *
 * @throws {@link StrongroomError} `config_invalid` if a value is not a URL that the vault accepts, or cannot be named in
 *   a policy.
 */
export const securityHeaders = (config: HeaderConfig, options: HeaderOptions): SecurityHeaders => {
  const { isolated = false } = options
  const embedder: ResponseHeaders = isolated ? { 'Cross-Origin-Embedder-Policy': 'require-corp' } : {}
  return {
    page: {
      'Content-Security-Policy': serialize(pagePolicy(options)),
      'Cross-Origin-Opener-Policy': isolated ? 'same-origin' : 'same-origin-allow-popups',
      ...embedder,
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    },
    worker: {
      'Content-Security-Policy': serialize({
        'default-src': ["'none'"],
        'script-src': ["'self'", "'wasm-unsafe-eval'"],
        'connect-src': ["'self'", ...workerOrigins(config, options)],
        // Servers of single-page apps send the app's page for a missing file in the worker's folder.
        'worker-src': ["'none'"],
        'base-uri': ["'none'"],
        'form-action': ["'none'"],
        'frame-ancestors': ["'none'"],
      }),
      ...embedder,
      // Without a hash in its name, the file changes at the same address.
      ...(options.worker.endsWith('/') ? {} : { 'Cache-Control': 'no-cache' }),
      'X-Content-Type-Options': 'nosniff',
    },
  }
}

const pagePolicy = (options: HeaderOptions): Policy => {
  const { origin, worker, serviceWorker, page = {}, trustedTypes, base = false } = options
  const home = originOf('origin', origin)
  if (home !== origin) throw invalid(`\`origin\` is '${origin}', and must be an origin such as '${home}'`)
  const workers = [checkPath('worker', worker)]
  if (serviceWorker !== undefined) workers.push(checkPath('serviceWorker', serviceWorker))
  if (trustedTypes && !Array.isArray(trustedTypes)) {
    throw invalid('`trustedTypes` must be an array of names of policies')
  }
  const policy: Policy = {
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'worker-src': workers.map((path) => home + path),
    'style-src': ["'self'"],
    'img-src': ["'self'", 'data:'],
    'base-uri': [base ? "'self'" : "'none'"],
    'form-action': ["'self'"],
    'frame-ancestors': ["'none'"],
    ...(trustedTypes && { 'require-trusted-types-for': ["'script'"], 'trusted-types': trustedTypes }),
  }
  for (const [directive, sources] of Object.entries(page)) {
    // Spread, a string would become sources of one character each, such as `*`.
    if (!Array.isArray(sources)) throw invalid(`\`page['${directive}']\` must be an array of sources`)
    const known = Object.hasOwn(policy, directive) ? policy[directive]! : []
    const former = known.filter((source) => source !== "'none'")
    policy[directive] = [...new Set([...former, ...sources])]
  }
  return policy
}

/** Returns the origins to which the worker connects, except its own. */
const workerOrigins = (config: HeaderConfig, { origin, metadata }: HeaderOptions): string[] => {
  const endpoints: Partial<ProviderMetadata> = { ...metadata, ...config.metadata }
  const found = [originOf('issuer', config.issuer)]
  for (const name of [...ENDPOINTS, ...(config.userInfo ? ['userinfo_endpoint' as const] : [])]) {
    const url = endpoints[name]
    if (url != null) found.push(originOf(`metadata.${name}`, url))
  }
  if (typeof config.identity === 'object' && 'url' in config.identity) {
    found.push(originOf('identity.url', config.identity.url))
  }
  for (const [i, { url, webSocket }] of config.apis.entries()) {
    const api = originOf(`apis[${i}].url`, url, `${origin}/`)
    found.push(api)
    // An https source does not match wss, and 'self' does not in every engine.
    if (webSocket) found.push(api.replace(/^http/, 'ws'))
  }
  return [...new Set(found)].filter((one) => one !== origin)
}

/**
 * Returns a URL's origin. The URL must be https, or http on loopback, as in the vault's configuration. Characters that
 * URLs allow in a host name, and that have a meaning in a policy, such as `*` and `;`, are refused.
 */
const originOf = (name: string, url: unknown, base?: string): string => {
  const parsed = typeof url === 'string' && URL.canParse(url, base) ? new URL(url, base) : undefined
  const isLoopback = /^((.+\.)?localhost|127(\.\d+){3})$/.test(parsed?.hostname ?? '')
  if (!parsed || !(parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback))) {
    throw invalid(`\`${name}\` is ${JSON.stringify(url)}, and must be an https URL`)
  }
  if (!/^[a-z\d-]+(\.[a-z\d-]+)*$/.test(parsed.hostname)) {
    throw invalid(`\`${name}\` is '${url}', and a Content-Security-Policy cannot name this host`)
  }
  return parsed.origin
}

/** Checks a path that is written to a policy and to the patterns of hosts. */
const checkPath = (name: string, path: string): string => {
  if (/^(\/[\w.~@-]+)*\/?$/.test(path) && !/\/\.{1,2}(\/|$)/.test(path) && path.length > 1) return path
  throw invalid(
    `\`${name}\` is ${JSON.stringify(path)}, and must be a path of letters, digits and ._~@-, such as '/auth.worker.js'`,
  )
}

const serialize = (policy: Policy): string =>
  Object.entries(policy)
    .map(([directive, sources]) => {
      if (!/^[a-z-]+$/.test(directive)) throw invalid(`'${directive}' is not the name of a directive`)
      for (const source of sources) {
        if (!/^[!#-+\--:<-[\]-~]+$/.test(source)) {
          throw invalid(`\`page['${directive}']\` has the source ${JSON.stringify(source)}`)
        }
      }
      return [directive, ...sources].join(' ')
    })
    .join('; ')

/** A request and a response of Vite's server. */
interface ViteRequest {
  url?: string | undefined
  headers: Record<string, string | string[] | undefined>
  socket?: { encrypted?: boolean }
}
interface ViteResponse {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body?: string): unknown
}
type ViteHandler = (request: ViteRequest, response: ViteResponse, next: () => void) => void
/** A server of Vite. */
interface ViteServer {
  middlewares: { use(handler: ViteHandler): unknown }
}

/** A plugin for Vite. */
export interface VitePlugin {
  name: string
  configureServer(server: ViteServer): void
  configurePreviewServer(server: ViteServer): void
}

/**
 * Returns a plugin for Vite. `vite preview` then serves the headers of {@link securityHeaders}. The development server
 * omits the page's policy, because Vite and its plugins put inline scripts and styles into the page. Both servers
 * refuse foreign service workers, and encoded slashes in the worker's folder.
 *
 * @param options The option `origin` is not needed, because the server knows its address.
 */
export const viteHeaders = (config: HeaderConfig, options: Omit<HeaderOptions, 'origin'>): VitePlugin => {
  const { page, worker } = securityHeaders(config, { ...options, origin: `https://${ANY_HOST}` })
  const leaving = leavingFolder(options.worker)
  const outside = leaving ? new RegExp(leaving, 'i') : undefined
  const use = (isPreview: boolean) => (server: ViteServer) => {
    server.middlewares.use((request, response, next) => {
      const [path = '/', query = ''] = (request.url ?? '/').split('?')
      const isForeign = request.headers['service-worker'] && path !== options.serviceWorker
      if (isForeign || outside?.test(path)) {
        response.statusCode = 403
        response.end()
        return
      }
      // In development, the worker's address is the source file with this query.
      const isSource = !isPreview && /(^|&)worker_file(&|$)/.test(query)
      const isWorker = isSource || isBelow(options.worker, path)
      for (const [name, value] of Object.entries(isWorker ? worker : page)) {
        if (isWorker || isPreview || name !== 'Content-Security-Policy') {
          response.setHeader(name, withHost(value, request))
        }
      }
      next()
    })
  }
  return { name: 'strongroom-headers', configureServer: use(false), configurePreviewServer: use(true) }
}

/** The placeholder for the server's host in headers that are generated before a request. */
const ANY_HOST = 'any-host.invalid'

/** Inserts the server's own host, and the scheme that the server speaks. */
const withHost = (value: string, { headers: { host }, socket }: ViteRequest): string => {
  const secure = socket?.encrypted ? 's' : ''
  const name = typeof host === 'string' && /^[\w.:[\]-]+$/.test(host) ? host : 'localhost'
  return value
    .replaceAll(`https://${ANY_HOST}`, `http${secure}://${name}`)
    .replaceAll(`wss://${ANY_HOST}`, `ws${secure}://${name}`)
}

const isBelow = (worker: string, path: string): boolean =>
  worker.endsWith('/') ? path.startsWith(worker) : path === worker

/** A rule of Next's `headers()`, and of vercel.json. */
export interface NextRule {
  source: string
  headers: { key: string; value: string }[]
}

/** Returns the rules for `headers()` in Next's configuration, and for `headers` in vercel.json. */
export const nextHeaders = (config: HeaderConfig, options: HeaderOptions): NextRule[] => {
  const { page, worker } = securityHeaders(config, options)
  const list = (headers: ResponseHeaders) => Object.entries(headers).map(([key, value]) => ({ key, value }))
  const path = options.worker.slice(1).replace(/[.]/g, '\\.')
  const isFolder = path.endsWith('/')
  return [
    // The rules do not overlap, so it does not matter which one counts.
    { source: `/((?!${path}${isFolder ? '' : '$'}).*)`, headers: list(page) },
    { source: isFolder ? `/${path}:file*` : `/${path}`, headers: list(worker) },
  ]
}

/** The maximum length of a line in Cloudflare's `_headers`, with its indentation. */
const CLOUDFLARE_LINE = 1998

/**
 * Returns a `_headers` file for Cloudflare, which combines all rules that match a path. The worker's file matches both
 * rules, so its own rule first removes the page's headers.
 */
export const cloudflareHeaders = (config: HeaderConfig, options: HeaderOptions): string => {
  const { page, worker } = securityHeaders(config, options)
  const [pageLines, workerLines] = [lines(page), lines(worker)]
  const removed = Object.keys(page).map((name) => `! ${name}`)
  for (const line of [...pageLines, ...workerLines]) {
    if (line.length > CLOUDFLARE_LINE) {
      throw invalid(
        `Cloudflare ignores lines of more than ${CLOUDFLARE_LINE} characters, and '${line.slice(0, 40)}…' has ${line.length}: send this header by a Worker or Pages function`,
      )
    }
  }
  return block('/*', pageLines) + block(pattern(options.worker), [...removed, ...workerLines])
}

/**
 * Returns a `_headers` file for Netlify, which combines all rules that match a path. No rule can remove a header, so the
 * pages' paths must be listed.
 *
 * @param documents The paths of the app's pages, such as `['/', '/callback', '/orders/*']`.
 */
export const netlifyHeaders = (
  config: HeaderConfig,
  options: HeaderOptions & { documents: string[] },
): string => {
  const { page, worker } = securityHeaders(config, options)
  const path = pattern(options.worker)
  const pages = options.documents.map((document) => {
    if (!/^\/([\w.~@:-]+\/)*([\w.~@:-]+|\*)?$/.test(document)) {
      throw invalid(`\`documents\` has ${JSON.stringify(document)}, and must have paths such as '/orders/*'`)
    }
    if (overlap(document.split('/'), path.split('/'))) {
      throw invalid(
        `\`documents\` has '${document}', which also matches the worker's path: Netlify would send it both policies`,
      )
    }
    return block(document, lines(page))
  })
  return pages.join('') + block(path, lines(worker))
}

/** Returns true if a path can match both of Netlify's patterns, which are given by segments. */
const overlap = ([a, ...as]: string[], [b, ...bs]: string[]): boolean => {
  if (a === '*' || b === '*') return true
  if (a === undefined || b === undefined) return a === b
  // A segment with a colon is a placeholder.
  return (a === b || /:/.test(a + b)) && overlap(as, bs)
}

const pattern = (worker: string): string => (worker.endsWith('/') ? `${worker}*` : worker)

const lines = (headers: ResponseHeaders): string[] =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`)

const block = (path: string, content: string[]): string =>
  [path, ...content.map((line) => `  ${line}`), ''].join('\n')

/**
 * Returns a regular expression, in which case does not matter, for raw paths with an encoded slash or backslash in the
 * worker's folder, also encoded several times. For `worker-src`, `/assets/..%2fevil.js` and `/assets%2f..%2fevil.js` are
 * in `/assets/`. Servers that decode the path leave the folder. Returns `undefined` if `worker` is a file.
 */
const leavingFolder = (worker: string): string | undefined => {
  if (!worker.endsWith('/')) return undefined
  const folder = [...worker.slice(1)].map(escapedOrNot).join('')
  // The slash at the folder's end may itself be the encoded one.
  return `^/(?=${folder})[^?]*%(25)*(2f|5c)`
}

/** Returns a regular expression for a character of a path, which may also be escaped: browsers treat both as equal. */
const escapedOrNot = (character: string): string => {
  const code = character.charCodeAt(0).toString(16).padStart(2, '0')
  return `(${character.replace(/[^\w-]/, '\\$&')}|%${code})`
}

/** Parts of a configuration of nginx. */
export interface NginxHeaders {
  /** The part for the block `http`. Files in `conf.d` are in this block. */
  http: string
  /** The part for the block `server`. A `location` with an `add_header` of its own does not inherit these headers. */
  server: string
}

/** Returns the configuration of nginx, which also refuses the registration of foreign service workers. */
export const nginxHeaders = (config: HeaderConfig, options: HeaderOptions): NginxHeaders => {
  const { page, worker } = securityHeaders(config, options)
  const quote = (value = '') => {
    // nginx has no way to write this character in a string.
    if (value.includes('$')) throw invalid(`nginx cannot send a header with '$': ${value}`)
    return `"${value}"`
  }
  const path = options.worker.endsWith('/') ? `"~^${options.worker.replace(/[.]/g, '\\.')}"` : options.worker
  const names = [...new Set([...Object.keys(page), ...Object.keys(worker)])]
  const variable = (name: string) => `$strongroom_${name.toLowerCase().replaceAll('-', '_')}`
  const map = (source: string, target: string, entries: string[]) =>
    [`map ${source} ${target} {`, ...entries.map((entry) => `  ${entry};`), '}', ''].join('\n')
  const maps = names.map((name) =>
    // nginx does not send a header whose value is empty.
    map('$uri', variable(name), [`default ${quote(page[name])}`, `${path} ${quote(worker[name])}`]),
  )
  const exempt =
    options.serviceWorker === undefined
      ? []
      : [`"~^script:${options.serviceWorker.replace(/[.]/g, '\\.')}$" ""`]
  const foreign = '$strongroom_service_worker'
  maps.push(map('"$http_service_worker:$uri"', foreign, ['default "1"', '"~^:" ""', ...exempt]))
  const outside = '$strongroom_outside'
  const leaving = leavingFolder(options.worker)
  if (leaving) maps.push(map('$request_uri', outside, ['default ""', `"~*${leaving}" "1"`]))
  return {
    http: maps.join(''),
    server: [
      `if (${foreign}) { return 403; }`,
      ...(leaving ? [`if (${outside}) { return 403; }`] : []),
      ...names.map((name) => `add_header ${name} ${variable(name)} always;`),
      '',
    ].join('\n'),
  }
}

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
  /** All scopes that the client may ask for. Missing if there are none. */
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
 * @throws {@link StrongroomError} `config_invalid` if `clientId` cannot be the URL of a document (section 3), or if the
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
