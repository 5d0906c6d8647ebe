import { hasMethod } from '../../protocol/own.js'
import type { Connection, FrameTransport } from './connection.js'

/** Returns the locks of the worker's origin. */
export const locksOf = (worker: Connection['at']): FrameTransport['locks'] =>
  hasMethod(worker, 'awaitResponse') ? worker.locks : navigator.locks
