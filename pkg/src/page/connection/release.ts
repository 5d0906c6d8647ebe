import type { Connection } from './connection.js'

/** The open connections of this page. An app's function may return the same worker to several of them. */
export const connections = new Set<Connection>()

/** Ends a dedicated worker that no open connection uses, or releases a frame. A shared worker ends by itself with its last page. */
export const release = (worker: Connection['at']): void => {
  // The app's function may have returned something else.
  const made = worker as { terminate?(): void; release?(): void } | undefined
  if (![...connections].some(({ at }) => at === worker)) made?.terminate?.()
  // A frame counts its connections itself.
  made?.release?.()
}
