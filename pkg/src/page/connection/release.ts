import type { Connection } from './connection.js'

/** Ends a dedicated worker, or releases a frame. A shared worker ends by itself with its last page. */
export const release = (worker: Connection['at']): void => {
  if ('terminate' in worker) worker.terminate()
  if ('release' in worker) worker.release()
}
