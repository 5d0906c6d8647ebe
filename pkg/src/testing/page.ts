/**
 * The page's code as a test double runs it. pkg/build.mjs wraps the bundle of this file in a function whose parameters
 * are the page's globals: see platform.ts.
 */
export { createAuth } from '../page/auth/create-auth.js'
export { StrongroomError } from '../page/errors/error.js'
