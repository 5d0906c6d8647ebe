/**
 * Event sources, sockets, and who wants to know of progress: a file of its own, which a page loads with the first of
 * them. Until then a target stands for a source or a socket (src/page/lazy-target.ts).
 */
import type { Strongroom } from './api.js'
import * as source from './event-source.js'
import type { Connection } from './connection.js'
import type { LazyTarget } from './lazy-target.js'

export { watched } from './progress.js'
export { webSocket } from './web-socket.js'

/** An event source by the vault. */
export const eventSource = (
  target: LazyTarget,
  _connection: Connection,
  init: EventSourceInit,
  auth: Strongroom,
): void => source.eventSource(target, auth.fetch, init, auth)
