/**
 * `strongroom/edge`: the token handler. Tokens stay on the server, and the browser has a sealed cookie. Importing this
 * module has no side effects.
 *
 * This entry is for Node, Bun and Deno, which read the core's module from the package's folder. Cloudflare's and
 * Vercel's platforms use other entries, which they select by the export conditions `workerd` and `edge-light`.
 *
 * @module
 */
import { readFile } from 'node:fs/promises'
import { handlerFactory } from './handler.js'

export * from './exports.js'

/** Creates a token handler. The configuration is read with the first request, or when the app calls `ready()`. */
export const createTokenHandler = handlerFactory(async () =>
  WebAssembly.compile(await readFile(new URL('./strongroom_edge_bg.wasm', import.meta.url))),
)
