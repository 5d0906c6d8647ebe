/**
 * Replaces a worker whose vault has failed or is outdated. This code is in a separate file, because most pages never
 * need it.
 */
import type { Session } from '../generated/session.js'
import type { Announcement, FrameTransport, Connection, Listener, open as Open } from './connection.js'
import type { refuse as Refuse } from './error-text.js'

type AnyWorker = Connection['at']
type Make = AnyWorker | (() => AnyWorker | Promise<AnyWorker>)

/** Seconds to wait for a worker that ends by itself. A shared worker ends a second after its vault. */
const TIME_LIMIT = 3

/** Attempts in flight, by the connection that they replace. */
const attempts = new WeakMap<Connection, Promise<void>>()

/**
 * Connects to a worker that `make` creates. If an attempt is in flight, returns this attempt, because a second
 * connection would end the first one.
 *
 * @param failed The connection that has failed.
 * @param before The worker of this connection, or of the last attempt.
 * @param connect Connects to the new worker.
 */
export const renew = (
  failed: Connection,
  before: AnyWorker,
  make: Make,
  refuse: typeof Refuse,
  connect: (next: AnyWorker) => Promise<void>,
): Promise<void> => {
  const inFlight = attempts.get(failed)
  if (inFlight) return inFlight
  const attempt = replace(before, make, failed.lock, refuse)
    .then(connect)
    .finally(() => attempts.delete(failed))
  attempts.set(failed, attempt)
  return attempt
}

/**
 * Creates a worker after the previous one has ended: a shared worker that is about to end does not respond to new
 * pages.
 *
 * @param lock The lock that the previous worker holds as long as it runs.
 */
const replace = async (
  before: AnyWorker,
  make: Make,
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
  const signal = AbortSignal.timeout(TIME_LIMIT * 1000)
  const { locks = navigator.locks } = before as Partial<FrameTransport>
  if (lock) await locks.request(lock, { signal }, () => {}).catch(() => {})
  const next = await make()
  release(before)
  return next
}

/** Ends a dedicated worker, or releases a frame. A shared worker ends by itself with its last page. */
const release = (worker: AnyWorker) => {
  if ('terminate' in worker) worker.terminate()
  if ('release' in worker) worker.release()
}

/**
 * Moves the page from an outdated vault to the vault of the worker that the page's function makes now. Pending
 * operations finish with the old vault. If the function makes the same worker again, such as a shared worker with the
 * same URL, the page stays connected to the old vault until that vault stops.
 *
 * If the user signs out in the meantime, the new vault may have read the session before its end was written. The new
 * vault then announces the end a moment later, and the page ignores that session.
 *
 * connect.ts passes in `open`, so that the bundle of this file does not contain a copy of it.
 */
export const move = async (
  old: Connection,
  make: Make,
  timeout: number,
  open: typeof Open,
  listener: Listener,
  adopt: (at: AnyWorker, next: Connection) => void,
  current: () => Session | null,
): Promise<void> => {
  if (typeof make !== 'function') return
  const before = current()
  const announcements: Announcement[] = []
  let target: Partial<Listener> = { announce: (announcement) => announcements.push(announcement) }
  const at = await make()
  const relay: Listener = {
    announce: (announcement) => target.announce!(announcement),
    ended: (error) => target.ended?.(error),
  }
  const connecting = open(at, timeout, relay, make)
  const next = await connecting.catch(() => undefined)
  if (!next || old.hasEnded() || next.lock === old.lock) {
    // The old vault serves this page until it stops. After that the page reconnects, or gets an error.
    next?.end('closed')
    return release(at)
  }
  old.retire(() => release(old.at))
  target = listener
  adopt(at, next)
  const ended = current() ? undefined : before?.startedAt
  const isOver = (announcement: Announcement) =>
    'session' in announcement && announcement.session && announcement.session.startedAt <= ended!
  announcements.filter((announcement) => !isOver(announcement)).forEach(listener.announce)
}
