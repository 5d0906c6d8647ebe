/** The policies of the app's pages and of the worker's file, from the vault's configuration. */
import { allowlist, literal, patternOf } from './allowlist.js'
import { appOrigin, checkFolder, checkNames, checkPath, invalid, mediaPaths, originOf } from './checks.js'
import { REQUESTED } from '../generated/metadata.js'
import { endpointsOf, providerOrigins, redirectUriOf } from './endpoints.js'
import { pageAllowlist } from './exits.js'
import { checkFrames } from './frames.js'
import { checkModule, FOR_A_MOMENT, IMMUTABLE, linkHeader, soonConnected } from './module.js'
import type { Fallback, HeaderConfig, HeaderOptions, Policy } from './options.js'

/** The values of response headers by name. */
export type ResponseHeaders = Record<string, string>

/** The headers of the app's pages, of the worker's file, and of the WebAssembly module. */
export interface SecurityHeaders {
  page: ResponseHeaders
  worker: ResponseHeaders
  /** Headers of the callback page in place of those of the pages. Empty without `callbackPage: true`. */
  callback: ResponseHeaders
  /** Headers of the pages in `allowPopups` in place of those of the other pages. Empty without that option. */
  popups: ResponseHeaders
  /** Headers that the module's file gets in addition to its other headers. Empty without the option `module`. */
  module: ResponseHeaders
}

/**
 * Returns the headers of the app's pages, of the worker's file and of the module. The worker's policy allows the
 * worker's own origin, and the origins of the issuer, of the APIs, of the profile address, and of the endpoints in
 * `metadata` that the worker requests.
 *
 * @throws `StrongroomError` `config_invalid` if the configuration has an option that the vault does not know, or a value
 *   that is not a URL that the vault accepts or cannot be named in a policy.
 */
export const securityHeaders = (config: HeaderConfig, options: HeaderOptions): SecurityHeaders => {
  if (options.testing && !originOf('origin', options.origin).startsWith('http:')) {
    throw invalid(
      `\`testing\` is for development and tests, and \`origin\` is '${options.origin}': it must be http on loopback, such as 'http://localhost:4173'`,
    )
  }
  checkNames(config)
  return generate(config, options)
}

/** Returns the headers of {@link securityHeaders}. The caller has checked where `testing` is used. */
export const generate = (config: HeaderConfig, options: HeaderOptions): SecurityHeaders => {
  const { isolated = false, exits, fallback } = options
  const policy = pagePolicy(options)
  const ofCallback = callbackPath(config, options)
  const hasCallback = ofCallback !== undefined
  // Script must not read the address at which a page of the app, or the handler, receives a login.
  const hidesLogin = hasCallback || fallback !== undefined
  for (const path of mediaPaths(config.apis)) allowMedia(policy, options.origin + path, !hidesLogin)
  if (fallback !== undefined) allowFallback(policy, config, options.origin, fallback)
  if (hidesLogin) checkFrames(policy, [options.origin, ...providerOrigins(config, options)])
  if (options.testing) allowTestDouble(policy, config, options)
  const embedder: ResponseHeaders = isolated ? { 'Cross-Origin-Embedder-Policy': 'require-corp' } : {}
  const popups = popupPaths(options)
  if (hasCallback && popups.includes(ofCallback)) {
    throw invalid('the callback page must not be in `allowPopups`, because script could read its address')
  }
  const keepsNone = isolated || hidesLogin || exits !== undefined || popups.length > 0
  const page = {
    'Content-Security-Policy': serialize(policy),
    ...(exits && { 'Connection-Allowlist': pageAllowlist(config, options, exits, policy) }),
    'Cross-Origin-Opener-Policy': keepsNone ? 'same-origin' : KEEPS_WINDOWS,
    ...embedder,
    ...hintOf(config, options),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  }
  return {
    page,
    callback: hasCallback ? callbackHeaders(page, policy) : {},
    popups: popups.length ? { ...page, 'Cross-Origin-Opener-Policy': KEEPS_WINDOWS } : {},
    worker: {
      'Content-Security-Policy': serialize({
        'default-src': ["'none'"],
        'script-src': ["'self'", "'wasm-unsafe-eval'"],
        'connect-src': ["'self'", ...workerOrigins(config, options)],
        // In Firefox and WebKit, this directive also decides which files the worker may import.
        'worker-src': workerFiles(options),
        'base-uri': ["'none'"],
        'form-action': ["'none'"],
        'frame-ancestors': ["'none'"],
      }),
      'Connection-Allowlist': allowlist(workerPatterns(config, options)),
      ...embedder,
      // Without a hash in its name, the file changes at the same address.
      ...(fixedWorker(options) && { 'Cache-Control': options.module ? FOR_A_MOMENT : 'no-cache' }),
      'X-Content-Type-Options': 'nosniff',
    },
    module: options.module === undefined ? {} : { 'Cache-Control': IMMUTABLE },
  }
}

/** The policy of a page that keeps references to the windows that it opens. */
const KEEPS_WINDOWS = 'same-origin-allow-popups'

/** Returns the checked paths of `allowPopups`. */
export const popupPaths = (options: Pick<HeaderOptions, 'allowPopups' | 'isolated'>): string[] => {
  const { allowPopups = [], isolated } = options
  if (!Array.isArray(allowPopups)) {
    throw invalid(
      `\`allowPopups\` is ${JSON.stringify(allowPopups)}, and must be an array with the paths of the pages that open windows of other sites, such as ['/checkout']`,
    )
  }
  if (isolated && allowPopups.length) {
    throw invalid('a page cannot be `isolated` and keep references to windows: remove `allowPopups`')
  }
  return allowPopups.map((path, i) => checkPath(`allowPopups[${i}]`, path))
}

/** Returns the path of the worker's file, or `undefined` if only its folder is known. */
const fixedWorker = ({ worker }: Pick<HeaderOptions, 'worker'>): string | undefined =>
  worker.endsWith('/') ? undefined : worker

/** Returns the header `Link` of a page that starts the worker, if the module's path is given. */
export const hintOf = (
  config: HeaderConfig,
  options: Pick<HeaderOptions, 'metadata' | 'module' | 'origin' | 'worker'>,
): ResponseHeaders =>
  options.module === undefined
    ? {}
    : { Link: linkHeader(fixedWorker(options), options.module, soonConnected(config, options)) }

const pagePolicy = (options: HeaderOptions): Policy => {
  const { origin, worker, module, serviceWorker, page = {}, trustedTypes, base = false } = options
  const home = appOrigin('origin', origin)
  const workers = [checkPath('worker', worker)]
  if (serviceWorker !== undefined) workers.push(checkPath('serviceWorker', serviceWorker))
  if (trustedTypes && !Array.isArray(trustedTypes)) {
    throw invalid('`trustedTypes` must be an array of names of policies')
  }
  const policy: Policy = {
    ...defaultSources(home, { worker, module }, Object.keys(page)),
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
    addSources(policy, directive, sources)
  }
  return policy
}

/**
 * Adds what elements need that load addresses below `url`, and the frame of a download. With a callback page, a page must
 * not have frames of its own origin: downloads then need none.
 */
const allowMedia = (policy: Policy, url: string, hasFrame: boolean): void => {
  for (const directive of ['media-src', 'font-src', ...(hasFrame ? ['frame-src'] : [])])
    addSources(policy, directive, [url])
}

/**
 * The endpoints that the page's client of a token handler requests (pkg/src/page/token-handler). The page navigates to the
 * others.
 */
const FOR_PAGES = ['config', 'session', 'logout']

/** Adds the addresses of a token handler that the page requests if the browser cannot run the vault. */
const allowFallback = (policy: Policy, { apis }: HeaderConfig, origin: string, fallback: Fallback): void => {
  if (!Array.isArray(fallback?.routes)) {
    throw invalid(
      "`fallback` must be the token handler's configuration with its `routes`, such as { base: '/auth', routes: [{ prefix: '/api/' }] }",
    )
  }
  const { base = '/auth', routes } = fallback
  if (checkPath('fallback.base', base).endsWith('/'))
    throw invalid(`\`fallback.base\` is '${base}', and must not end in a slash`)
  const prefixes = routes.map(
    (route, i) => origin + checkFolder(`fallback.routes[${i}].prefix`, route?.prefix),
  )
  // Routes do not say if they have sockets, and the vault's rules do.
  const sockets = apis.some(({ webSocket }) => webSocket)
    ? prefixes.map((prefix) => prefix.replace(/^http/, 'ws'))
    : []
  const endpoints = FOR_PAGES.map((name) => `${origin}${base}/${name}`)
  addSources(policy, 'connect-src', [...endpoints, ...prefixes, ...sockets])
}

/**
 * Adds what the test double needs in the page: its core is WebAssembly, and its option `api` may pass the calls on to
 * `fetch`.
 */
const allowTestDouble = (policy: Policy, { apis }: HeaderConfig, { origin }: HeaderOptions): void => {
  addSources(policy, 'script-src', ["'wasm-unsafe-eval'"])
  const sources = apis.map(({ url }, i) => apiOrigin(url, i, origin))
  if (!sources.length) return
  addSources(
    policy,
    'connect-src',
    sources.map((api) => (api === origin ? "'self'" : api)),
  )
}

/** Adds sources to a directive, in place of `'none'`. */
const addSources = (policy: Policy, directive: string, sources: string[]): void => {
  const known = Object.hasOwn(policy, directive) ? policy[directive]! : []
  const former = known.filter((source) => source !== "'none'")
  policy[directive] = [...new Set([...former, ...sources])]
}

/** Returns the path of the callback page, or `undefined` if the app has none. */
export const callbackPath = (
  config: HeaderConfig,
  options: Pick<HeaderOptions, 'origin'>,
): string | undefined => {
  if (!config.callbackPage) return undefined
  return checkPath('redirectUri', redirectUriOf(config, options, 'callbackPage').pathname)
}

/**
 * Returns the headers of the callback page. They are those of the app's pages, because the app may start in this
 * document, with these differences: no window may have this page in a frame, or a reference to it, and no cache may keep
 * it. The page may request its own headers, to check them.
 */
const callbackHeaders = (page: ResponseHeaders, policy: Policy): ResponseHeaders => {
  const own = (policy['connect-src'] ?? []).filter((source) => source !== "'none'")
  return {
    ...page,
    'Content-Security-Policy': serialize({
      ...policy,
      'connect-src': [...new Set(["'self'", ...own])],
      'frame-ancestors': ["'none'"],
    }),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
  }
}

/** Directives for which `default-src` counts if a policy lacks them, except those that each policy here has. */
const FALLING_BACK = ['connect-src', 'font-src', 'frame-src', 'manifest-src', 'media-src', 'object-src']

/**
 * Returns `default-src`. Firefox permits a hint only if this directive names its target, and Chromium if any directive
 * does. All other requests stay forbidden: in a frame with the module's address, a server's error page without a policy
 * would be a place for injected script. Directives that the caller sets, `known`, are left out.
 */
export const defaultSources = (
  home: string,
  { worker, module }: Pick<HeaderOptions, 'module' | 'worker'>,
  known: string[] = [],
): Policy => {
  if (module === undefined) return { 'default-src': ["'none'"] }
  const byCaller = new Set([...known, ...(known.includes('child-src') ? ['frame-src'] : [])])
  const forbidden = known.includes('default-src') ? [] : FALLING_BACK.filter((name) => !byCaller.has(name))
  return {
    'default-src': [checkModule(module), fixedWorker({ worker })].flatMap((path) =>
      path === undefined ? [] : [home + path],
    ),
    ...Object.fromEntries(forbidden.map((name) => [name, ["'none'"]])),
  }
}

/**
 * Returns the files that the worker may import, and that a page under the worker's headers may start as workers. A server
 * of a single-page app sends such a page for a missing file in the worker's folder.
 */
const workerFiles = ({ origin, worker, page = {} }: HeaderOptions): string[] => {
  const own = (page['worker-src'] ?? []).filter(
    (source) => source === "'self'" || source.startsWith(`${origin}/`),
  )
  return [...new Set([origin + worker, ...own])]
}

/** Returns the origin of an entry of `apis`, whose URL may be relative. */
const apiOrigin = (url: string, place: number, origin: string) =>
  originOf(`apis[${place}].url`, url, `${origin}/`)

/** An address that the worker requests. */
interface Destination {
  /** The option with the address, for errors. */
  name: string
  url: unknown
  /** The base of a relative address. */
  base?: string
  /** True if the worker also requests the addresses below. */
  below: boolean
  /** True for an endpoint in the provider's metadata. */
  isEndpoint: boolean
  hasSockets: boolean
}

/** Returns the addresses that the worker requests besides the documents with the provider's metadata. */
const destinationsOf = (config: HeaderConfig, options: HeaderOptions): Destination[] => {
  const { apis, identity, userInfo } = config
  const endpoints = endpointsOf(config, options)
  const one = (name: string, url: unknown, isEndpoint: boolean) => ({
    name,
    url,
    below: false,
    isEndpoint,
    hasSockets: false,
  })
  return [
    ...[...REQUESTED, ...(userInfo ? ['userinfo_endpoint' as const] : [])]
      .map((name) => one(`metadata.${name}`, endpoints[name], true))
      .filter(({ url }) => url != null),
    ...(typeof identity === 'object' && 'url' in identity ? [one('identity.url', identity.url, false)] : []),
    ...apis.map(({ url, exact = false, webSocket }, i) => ({
      name: `apis[${i}].url`,
      url,
      base: `${options.origin}/`,
      below: !exact,
      isEndpoint: false,
      hasSockets: Boolean(webSocket),
    })),
  ]
}

/** Returns the origins to which the worker connects, except its own. */
const workerOrigins = (config: HeaderConfig, options: HeaderOptions): string[] => {
  const found = destinationsOf(config, options).flatMap(({ name, url, base, hasSockets }) => {
    const origin = originOf(name, url, base)
    // An https source does not match wss, and 'self' does not in every engine.
    return hasSockets ? [origin, origin.replace(/^http/, 'ws')] : [origin]
  })
  const origins = [originOf('issuer', config.issuer), ...found]
  return [...new Set(origins)].filter((one) => one !== options.origin)
}

/**
 * Returns the URL patterns of the addresses that the worker requests. With metadata that the owner gives, these are the
 * provider's endpoints, and otherwise the origins of the issuer and of pinned endpoints, because the vault then learns the
 * endpoints when it runs. The addresses were checked for the policy.
 */
const workerPatterns = (config: HeaderConfig, options: HeaderOptions): string[] => {
  const { pinned: _, ...owned } = config
  const { issuer, identity } = owned
  const endpoints = endpointsOf(owned, options)
  const isKnown = endpoints.token_endpoint != null && (identity !== undefined || endpoints.jwks_uri != null)
  const { origin, pathname } = new URL(issuer)
  const folder = literal(pathname.replace(/\/$/, ''))
  // The documents with the metadata, which the vault looks for below the issuer and below its origin.
  const provider = isKnown ? [`${origin}/.well-known/*`, `${origin}${folder}/.well-known/*`] : [origin]
  const others = destinationsOf(config, options).flatMap(({ url, base, below, isEndpoint }) => {
    const address = new URL(url as string, base)
    if (address.origin === options.origin) return []
    return isEndpoint && !isKnown ? [address.origin] : [patternOf(address.href, below)]
  })
  return [...new Set([...(origin === options.origin ? [] : provider), ...others])]
}

/** Returns the value of the header `Content-Security-Policy`. */
export const serialize = (policy: Policy): string =>
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
