import type { Connection } from './connection.js'

/** Ends a dedicated worker, or releases a frame. A shared worker ends by itself with its last page. */
export const release = (worker: Connection['at']): void => {
  // The app's function may have returned something else.
  const made = worker as { terminate?(): void; release?(): void } | undefined
  made?.terminate?.()
  made?.release?.()
}
