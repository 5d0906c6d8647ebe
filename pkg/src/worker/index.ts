/**
 * The worker's side of strongroom, which runs the vault. The same file works as a SharedWorker and as a Worker.
 *
 * ```ts
 * import { vault } from 'strongroom/worker'
 * vault({ issuer: 'https://id.example.com', clientId: 'spa', redirectUri: '/callback', … })
 * ```
 *
 * @module
 */
export type * from './config.js'
export type { WasmSource } from './wasm.js'
export { StrongroomError } from '../page/errors/error.js'
export { vault, type VaultOptions } from './worker.js'
