/**
 * The URL of the vault's WebAssembly module, for the option `wasm` of `createAuth()`. This file is an entry of its own:
 * bundlers copy the module into each app that contains this expression, also into an app without a vault.
 *
 * @module
 */
export default new URL('./strongroom_bg.wasm', import.meta.url).href
