/**
 * The page's side of strongroom: small, and without secrets.
 *
 * Tokens stay in the worker, where `strongroom/worker` runs the vault. Importing this module has no side effects, and
 * works outside a browser too.
 *
 * @module
 */
export type * from './api.js'
export type * from './auth/auth.js'
export { connect } from './connect.js'
export { connectFrame } from './connect-by-frame.js'
export { createAuth } from './auth/create-auth.js'
export { StrongroomError } from './errors/error.js'
