/**
 * Event sources, sockets and progress. A page with a vault loads this file when it first uses one of these features
 * (src/page/streaming/implement-target.ts and src/page/connect.ts).
 */
import type { Strongroom } from '../api.js'
import * as source from './event-source.js'
import type { Connection } from '../connection/connection.js'
import type { LazyTarget } from './lazy-target.js'

export { watched } from './progress.js'
export { webSocket } from './web-socket.js'

/** Implements an event source with the vault's `fetch`. */
export const eventSource = (
  target: LazyTarget,
  _connection: Connection,
  init: EventSourceInit,
  auth: Strongroom,
): void => source.eventSource(target, auth.fetch, init, auth)
