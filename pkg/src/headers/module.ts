/**
 * The prefetch hints, with which a browser requests the worker's file before the page starts the worker, and the vault's
 * module before the worker does. A hint is only for a file that the browser may keep: otherwise the request that follows
 * would be a second download.
 */
import { checkPath, invalid, originOf } from './checks.js'
import { endpointsOf, pinnedOf } from './endpoints.js'
import type { HeaderConfig, HeaderOptions } from './options.js'

/** The value of `Cache-Control` for a file whose name changes with its content. */
export const IMMUTABLE = 'public, max-age=31536000, immutable'

/**
 * The value of `Cache-Control` for a worker's file with a fixed name and a hint. Because of the hint, the browser
 * revalidates the file early, and starts the worker from the cache. With `no-cache`, it would revalidate the file twice.
 */
export const FOR_A_MOMENT = 'max-age=10'

/** Matches names that contain a hash, as bundlers write them: `strongroom_bg-BqTr3x9P`, or only the hash in hex. */
const HASHED = /^(strongroom_bg[-._](?=[\w-]*[\dA-Z])[\w-]{8,}|[\da-f]{8,})$/

/**
 * Returns true if the name of the module's file has the form of a name with a hash. Whether it is the hash of the content
 * cannot be seen.
 */
export const hasHash = (path: string): boolean =>
  HASHED.test(
    path
      .split('/')
      .at(-1)!
      .replace(/\.wasm$/, ''),
  )

/** Checks the path of the module. */
export const checkModule = (path: string): string => {
  if (checkPath('module', path).endsWith('.wasm') && hasHash(path)) return path
  throw invalid(
    `\`module\` is '${path}', and must be the module's path with a hash, such as '/assets/strongroom_bg-BqTr3x9P.wasm': without a hash, browsers cannot keep the file for long, and would load it twice`,
  )
}

/** Attributes of a link. */
type Hint = Record<string, string> & { href: string }

/**
 * Returns the origins with which the worker soon connects. With pinned metadata, nothing is requested from the provider
 * before a login except a pushed request. Without them, the vault first reads the provider's metadata.
 */
export const soonConnected = (
  config: HeaderConfig,
  options: Pick<HeaderOptions, 'metadata' | 'origin'>,
): string[] => {
  const { apis, issuer, par = 'auto' } = config
  const { pushed_authorization_request_endpoint: pushed } = endpointsOf(config, options)
  const ofApis = apis.map(({ url }, i) => originOf(`apis[${i}].url`, url, `${options.origin}/`))
  // A stored session needs the API first.
  const api = ofApis.find((origin) => origin !== options.origin)
  const isPushed = par !== false && pushed != null
  const provider = !pinnedOf(config)
    ? originOf('issuer', issuer)
    : isPushed && originOf('metadata.pushed_authorization_request_endpoint', pushed)
  const found = [provider, api].filter((origin) => typeof origin === 'string')
  return [...new Set(found)].filter((origin) => origin !== options.origin)
}

/**
 * Returns the hints as attributes of links: the worker's file, if its name is known, the module, and connections. All of
 * them are requested with the mode and credentials that `crossorigin` stands for.
 */
export const hints = (worker: string | undefined, module: string, connected: string[]): Hint[] => [
  ...(worker === undefined ? [] : [{ href: worker, rel: 'prefetch', as: 'script' }]),
  { href: module, rel: 'prefetch', as: 'fetch' },
  ...connected.map((href) => ({ href, rel: 'preconnect' })),
]

/** Returns the value of the header `Link` (RFC 8288) with the hints. */
export const linkHeader = (worker: string | undefined, module: string, connected: string[]): string =>
  hints(worker, module, connected)
    .map(({ href, ...rest }) => {
      const parameters = Object.entries(rest).map(([name, value]) => `; ${name}=${value}`)
      return `<${href}>${parameters.join('')}; crossorigin`
    })
    .join(', ')
