/** Another worker in the place of one whose vault has failed. A file of its own: most pages never need it. */
import type { FrameDoor, Link } from './port.js'
import type { refuse as Refuse } from './spell.js'

type AnyWorker = Link['at']

/** Seconds to wait for a worker that ends by itself; a shared one does so a second after its vault. */
const PATIENCE = 3

/**
 * Makes a worker when the one before is gone: who connects to a shared worker that is about to end hears nothing.
 *
 * @param lock What the worker before holds as long as it lives.
 */
export const renew = async (
  before: AnyWorker,
  make: AnyWorker | (() => AnyWorker | Promise<AnyWorker>),
  lock: string | undefined,
  refuse: typeof Refuse,
): Promise<AnyWorker> => {
  if (typeof make !== 'function') {
    return refuse(
      'unsupported',
      'connect() was given a worker, and reconnect() needs a function that makes one',
    )
  }
  if ('terminate' in before) before.terminate()
  const signal = AbortSignal.timeout(PATIENCE * 1000)
  const { locks = navigator.locks } = before as Partial<FrameDoor>
  if (lock) await locks.request(lock, { signal }, () => {}).catch(() => {})
  return make()
}
