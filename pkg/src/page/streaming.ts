/**
 * Event sources, sockets, and who wants to know of progress: a file of its own, which a page loads with the first of
 * them. Until then a shell stands for a source or a socket (src/page/lazy-target.ts).
 */
import type { Strongroom } from './api.js'
import * as source from './event-source.js'
import type { Link } from './connection.js'
import type { Shell } from './lazy-target.js'

export { watched } from './progress.js'
export { webSocket } from './web-socket.js'

/** An event source by the vault. */
export const eventSource = (shell: Shell, _: Link, init: EventSourceInit, auth: Strongroom): void =>
  source.eventSource(shell, auth.fetch, init, auth)
