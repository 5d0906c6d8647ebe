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
export { StrongroomError } from '../page/errors/error.js'
export {
  type ClientConfig,
  clientMetadata,
  type ClientMetadata,
  type ClientNames,
} from './client-metadata.js'
export {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  type NextRule,
  type NginxHeaders,
  nginxHeaders,
} from './hosts.js'
export type { Exits, Fallback, HeaderConfig, HeaderOptions } from './options.js'
export { type ResponseHeaders, type SecurityHeaders, securityHeaders } from './security-headers.js'
export { vaultOriginHeaders, type VaultOriginHeaders, type VaultOriginOptions } from './vault-origin.js'
export { viteHeaders, type ViteOptions, type VitePlugin } from './vite.js'
