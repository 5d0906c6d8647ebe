/**
 * The vault in a browser extension (Manifest V3): docs/extensions.md.
 *
 * The vault's worker runs in an offscreen document, because a service worker of an extension cannot create a worker. The
 * service worker and the extension's pages reach the vault through a bridge of extension ports. No token crosses the
 * bridge, and the bridge serves only the extension's own pages and its service worker.
 *
 * ```ts
 * // offscreen.js
 * import { serveVault } from 'strongroom/extension'
 * serveVault(() => new Worker(new URL('./auth.worker.js', import.meta.url), { type: 'module' }))
 * ```
 * ```ts
 * // auth.js, for the service worker and all pages
 * import { createExtensionAuth } from 'strongroom/extension'
 * export const auth = createExtensionAuth({ offscreen: 'offscreen.html' })
 * ```
 *
 * @module
 */
export type * from '../page/api.js'
export type * from '../page/auth/auth.js'
export type { Sender } from './chrome.js'
export { createExtensionAuth, type ExtensionAuthOptions } from './client.js'
export { isOwnSender } from './sender.js'
export { serveVault } from './serve.js'
export { StrongroomError } from '../page/errors/error.js'
