/** The glue of the core. pkg/build.mjs wraps the bundle of this file in a function, so that each world has a module. */
export { TestCore, initSync } from '../../glue/strongroom_testing.js'
