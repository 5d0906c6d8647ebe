/**
 * Event sources, sockets, and who wants to know of progress: a file of its own, which a page loads with the first of
 * them. Until then a shell stands for a source or a socket (src/shell.ts).
 */
import type { Strongroom } from './api.js'
import * as source from './eventsource.js'
import type { Link } from './port.js'
import type { Shell } from './shell.js'

export { watched } from './progress.js'
export { webSocket } from './websocket.js'

/** An event source by the vault. */
export const eventSource = (shell: Shell, _: Link, init: EventSourceInit, room: Strongroom): void =>
  source.eventSource(shell, room.fetch, init, room)
