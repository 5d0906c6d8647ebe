/** `strongroom/edge` for Cloudflare Workers: the module comes by a static import, since bytes are not compiled there. */
import module from './strongroom_edge_bg.wasm'
import { creating } from './edge/handler.js'

export * from './edge/exports.js'

/** Makes a token handler. Its configuration is looked at with the first request. */
export const createTokenHandler = creating(() => module)
