/** Loads the implementation of a lazy target. */
import type { Strongroom } from '../api.js'
import type { Connection } from '../connection/connection.js'
import { load } from '../load.js'
import { failTarget, type LazyTarget } from './lazy-target.js'

/** Returns `target`, and implements it as soon as streaming.ts is loaded. */
export const implementTarget = (
  kind: 'eventSource' | 'webSocket',
  target: LazyTarget,
  connection: Connection,
  options: unknown,
  auth?: Strongroom,
): never => {
  load(() => import('./streaming.js'), 'webSocket').then(
    (live) => live[kind](target, connection, options as never, auth as never),
    (error) => failTarget(target, error),
  )
  return target as never
}
