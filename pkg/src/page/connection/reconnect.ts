/**
 * Connects a page to the vault of another worker, when its vault has failed or is outdated. This code is in a separate
 * file, because most pages never need it. state.ts has the states of the connection that gets a successor.
 */
import type { Session } from '../../generated/session.js'
import type { Announcement, Client, Connection, open as Open } from './connection.js'
import type { StrongroomError } from '../errors/error.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { isLoopback } from '../../protocol/loopback.js'
import type { release as Release } from './release.js'
import { repeat } from '../../protocol/repeat.js'
import { timeoutSignal } from '../../protocol/signals.js'
import { hasMethod } from '../../protocol/own.js'
import { locksOf } from './locks.js'

type AnyWorker = Connection['at']
type Make = () => AnyWorker | Promise<AnyWorker>

/** Seconds to wait for a worker that ends by itself. A shared worker ends a second after its vault. */
const TIME_LIMIT = 3

/** Waits for the end of a connection's worker, because a shared worker that is about to end does not respond to new pages. */
const ended = async ({ at, lock }: Connection): Promise<void> => {
  const signal = timeoutSignal(TIME_LIMIT * 1000)
  const locks = locksOf(at)
  // The worker holds this lock as long as it runs.
  if (lock) await locks.request(lock, { signal }, () => {}).catch(() => {})
}

/**
 * Repeats the first attempt to connect, in which the worker's file has failed, because one response of a server is not its
 * last, or whose vault has ended: the reload of a page whose vault is outdated leads to the same worker once more.
 * Rejects with `error`, that of the first attempt, which says why. The time limit begins now, because the first attempt
 * may have waited until the page was shown.
 *
 * @param attempt Connects within a number of seconds. Explains no failure if its second argument is false.
 * @param failed Returns the connection of the last attempt, if it had one.
 */
export const again = (
  error: StrongroomError,
  attempt: (limit: number, why: false) => Promise<Connection>,
  timeout: number,
  failed: () => Connection | undefined,
): Promise<Connection> => {
  const next = async (deadline: number) => {
    const before = failed()
    if (before) await ended(before)
    return attempt(Math.max(0, deadline - performance.now()) / 1000, false).catch(({ code }) => {
      // In development, a file that fails twice is wrong.
      throw { isFinal: code !== 'vault_outdated' && isLoopback(location.hostname) }
    })
  }
  return repeat(next, performance.now() + timeout * 1000, {}).catch(() => Promise.reject(error))
}

/**
 * Connects to the vault of the worker that `make` creates now, and offers this connection to `old` as its successor.
 * `make` is false if the page cannot create another worker.
 * Rejects if `old` has ended and no other vault responds.
 *
 * connect.ts passes in `open`, `refuse` and `release`, so that the bundle of this file does not contain copies of them.
 *
 * @param current Returns the client's session.
 * @param events Gets the client's event `change`.
 */
export const succeed = async (
  old: Connection,
  make: Make | false,
  open: typeof Open,
  timeout: number,
  client: Client,
  refuse: typeof Refuse,
  release: typeof Release,
  current: () => Session | null,
  events: EventTarget,
): Promise<void> => {
  const isGone = !!old.state.why
  if (!make) {
    if (!isGone) return
    return refuse(
      'unsupported',
      'connect() was given a worker, and reconnect() needs a function that makes one',
    )
  }
  const announcements: Announcement[] = []
  /** Keeps the announcements of the new vault until the page uses this vault. */
  const relay: Client = { announce: (announcement) => announcements.push(announcement) }
  const connect = (at: AnyWorker) => open(at, timeout, relay, make)
  let shown = current()
  /** The start of a session that has ended during the move, or that another session has replaced. */
  let over = 0
  const watch = () => {
    const now = current()
    // The page also has no session if the old vault has failed or stopped. The same session may begin some milliseconds
    // earlier in another vault, by another clock.
    const isSame = shown && now && now.startedAt <= shown.startedAt
    if (shown && !isSame && !old.state.why) over = shown.startedAt
    shown = now
  }
  events.addEventListener('change', watch)
  if (isGone) setTimeout(() => old.on('late'), timeout * 1000)
  const next = await (isGone ? replace : move)(old, make, connect, release).finally(() =>
    events.removeEventListener('change', watch),
  )
  if (!next) return
  old.successor = next
  old.on('arrived')
  // The page has called close() in the meantime.
  if (next.state.why) return release(next.at)
  const { on } = next
  next.on = (event, ...error) => {
    on(event, ...error)
    // Calls may still be in flight in the vault that the page has moved away from.
    if (event === 'close') old.on(event, ...error)
  }
  Object.assign(relay, client)
  // If a session has ended during the move, the new vault may have read it before its end was written. The new vault
  // then announces the end a moment later, and the page ignores that session.
  const isOver = (announcement: Announcement) =>
    'session' in announcement && announcement.session && announcement.session.startedAt <= over
  announcements.filter((announcement) => !isOver(announcement)).forEach(client.announce!)
}

/** Creates a worker after the worker of `old` has ended. */
const replace = async (
  old: Connection,
  make: Make,
  connect: (at: AnyWorker) => Promise<Connection>,
  release: typeof Release,
): Promise<Connection> => {
  const { at } = old
  if (hasMethod(at, 'terminate')) release(at)
  await ended(old)
  const next = await make()
  release(at)
  // If this attempt fails, the next attempt ends this worker.
  old.at = next
  return connect(next).catch((error) => {
    // No further attempt follows if the page uses another vault, or has called close().
    if (old.state.is === 'closed') release(next)
    throw error
  })
}

/**
 * Moves the page to a newer vault. Pending operations finish with the old vault. If `make` creates the same worker
 * again, such as a shared worker with the same URL, the page stays connected to the old vault until that vault stops.
 */
const move = async (
  old: Connection,
  make: Make,
  connect: (at: AnyWorker) => Promise<Connection>,
  release: typeof Release,
): Promise<Connection | undefined> => {
  const at = await make()
  const next = await connect(at).catch(() => undefined)
  if (next && next.lock !== old.lock) {
    old.release = () => release(old.at)
    return next
  }
  // The old vault serves this page until it stops. After that the page reconnects, or gets an error.
  next?.on('close', 'closed')
  release(at)
  return undefined
}
