/** `strongroom/edge` for Cloudflare Workers: the module comes by a static import, since bytes are not compiled there. */
import module from './strongroom_edge_bg.wasm'
import { handlerFactory } from './handler.js'

export * from './exports.js'

/** Creates a token handler. The configuration is read with the first request. */
export const createTokenHandler = handlerFactory(() => module)
