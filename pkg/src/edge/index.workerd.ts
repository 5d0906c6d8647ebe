/**
 * `strongroom/edge` for Cloudflare Workers. This entry imports the core's module statically, because Cloudflare Workers
 * cannot compile a module from bytes.
 */
import module from './strongroom_edge_bg.wasm'
import { handlerFactory, tenantsFactory } from './common.js'

export type * from './exports.js'
export { denoKv, durableObject, inIsolate, redis, redisRest, StrongroomSessions } from './common.js'

/** Creates a token handler. The configuration is read with the first request, or when the app calls `ready()`. */
export const createTokenHandler = handlerFactory(() => module)

/** Creates handlers for several tenants, one for each tenant that requests select. */
export const tenants = tenantsFactory(() => module)
