/**
 * The hint with which a browser requests the vault's module before the worker does. The hint is only for a file that the
 * browser may keep: otherwise the worker's request would be a second download.
 */
import { checkPath, invalid } from './checks.js'

/** The value of `Cache-Control` for a file whose name changes with its content. */
export const IMMUTABLE = 'public, max-age=31536000, immutable'

/** The length of the shortest hash that bundlers write. */
const SHORTEST_HASH = 6

/** Returns true if the name of the module's file contains a hash of its content. */
export const hasHash = (path: string): boolean => {
  const name = path
    .split('/')
    .at(-1)!
    .replace(/\.wasm$/, '')
  return name.replace(/^strongroom_bg[-._]?/, '').length >= SHORTEST_HASH
}

/** Checks the path of the module. */
export const checkModule = (path: string): string => {
  if (checkPath('module', path).endsWith('.wasm') && hasHash(path)) return path
  throw invalid(
    `\`module\` is '${path}', and must be the module's path with a hash, such as '/assets/strongroom_bg-BqTr3x9P.wasm': browsers may not keep a file that changes at the same address, and would load it twice`,
  )
}

/** Attributes of the link for the module. The worker requests the module with the same mode and credentials. */
export const MODULE_LINK = { rel: 'prefetch', as: 'fetch', crossorigin: true }

/** Returns the value of the header `Link` (RFC 8288): the module, and a connection to the provider. */
export const moduleHint = (path: string, issuer: string): string =>
  `<${path}>; rel=prefetch; as=fetch; crossorigin, <${issuer}>; rel=preconnect; crossorigin`
