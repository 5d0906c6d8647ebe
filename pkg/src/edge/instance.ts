/**
 * The core's instance. All handlers of an isolate share one instance. After a trap the instance's state is undefined,
 * so a new instance replaces it, and each handler starts again.
 */
import { __wbg_reset_state as replaceInstance, initSync } from '../../glue/strongroom_edge.js'

/** An instance of the core. */
export interface Instance {
  readonly memory: WebAssembly.Memory
}

let current: Instance | undefined
let hasStarted = false

/** Returns the current instance. Creates an instance if none exists. */
export const instance = (module: WebAssembly.Module): Instance => (current ??= start(module))

const start = (module: WebAssembly.Module): Instance => {
  if (hasStarted) replaceInstance()
  // The glue expects a module of its own realm. The Edge Runtime passes a module of another realm.
  if (!(module instanceof WebAssembly.Module)) Object.setPrototypeOf(module, WebAssembly.Module.prototype)
  const { memory } = initSync({ module })
  // `hasStarted` is set last, because a failed start leaves no instance that has to be replaced.
  hasStarted = true
  return { memory }
}

/** Returns true if this instance is the current one, which means that it has not trapped. */
export const isSound = (instance: Instance): boolean => instance === current

/** Drops an instance that has trapped. */
export const giveUp = (instance: Instance): void => {
  if (isSound(instance)) current = undefined
}
