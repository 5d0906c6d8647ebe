/**
 * The core's instance. All handlers of an isolate share one; after a trap, in which it may have left anything behind,
 * there is another one, and each handler begins anew.
 */
import { initSync } from '../../glue/strongroom_edge.js'

/** An instance of the core, as long as it has not trapped. */
export interface Instance {
  readonly memory: WebAssembly.Memory
}

let current: Instance | undefined

/** The instance that counts. */
export const instance = (module: WebAssembly.Module): Instance =>
  (current ??= { memory: initSync({ module }).memory })

/** Whether it still counts. */
export const isSound = (instance: Instance): boolean => instance === current

/** It has trapped. */
export const giveUp = (instance: Instance): void => {
  if (isSound(instance)) current = undefined
}
