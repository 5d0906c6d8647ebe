/**
 * `strongroom/edge`: the token handler. Tokens stay on the server, and the browser has a sealed cookie. Importing this
 * module has no side effects.
 *
 * This entry is for Node, Bun and Deno. It imports the core's module as base64: a bundler for servers moves this script
 * away from the package's folder, but follows imports. Cloudflare's and Vercel's platforms use other entries, which they
 * select by the export conditions `workerd` and `edge-light`.
 *
 * @module
 */
import { Buffer } from 'node:buffer'
import { handlerFactory, tenantsFactory, watchProcess } from './common.js'

export type * from './exports.js'
export { denoKv, durableObject, inIsolate, redis, redisRest, StrongroomSessions } from './common.js'

const load = async () =>
  WebAssembly.compile(Buffer.from((await import('./edge-module.js')).default, 'base64'))

/** Creates a token handler. The configuration is read with the first request, or when the app calls `ready()`. */
export const createTokenHandler = handlerFactory(load, watchProcess)

/** Creates handlers for several tenants, one for each tenant that requests select. */
export const tenants = tenantsFactory(load, watchProcess)
