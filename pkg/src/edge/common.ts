/**
 * The code of `strongroom/edge` that is the same on every platform. The package has it once, in `edge-common.js`: the files
 * for the platforms differ in how they load the core's module.
 */
export * from './exports.js'
export { handlerFactory } from './handler.js'
export { watchProcess } from './lateness.js'
export { tenantsFactory } from './tenants.js'
