/**
 * The record of the last session's end in localStorage. It outlives the vault, so that even after a reload no guard and
 * no `resume` signs the user in without a click. Apps of one origin share localStorage, so each app has its own record.
 */
import type { EndReason } from '../../generated/end-reasons.js'
import type { Strongroom } from '../api.js'

/** The key of the record, followed by the app's hash. */
const END = 'strongroom.end'

/**
 * Records the end or the begin of a session. Returns the reason of the last end.
 *
 * The record consists of a reason and a time. While a session lasts, the reason is empty, and the time is the latest
 * `startedAt` that a page has shown. After an end, the reason is that of the end, and so is the time if `now` is passed.
 *
 * @param app The hash of issuer, client, resource and account that the vault sends, or the path of a token handler.
 * @param now The time, if `startedAt` is also by the clock of this device. With a token handler it is by a server's clock,
 *   and times of two clocks are not compared.
 */
export const recordEnd = (
  app: string | number,
  { session, endReason, elsewhere }: Pick<Strongroom, 'session' | 'endReason' | 'elsewhere'>,
  now?: number,
): EndReason | null => {
  try {
    const key = `${END} ${app}`
    const [reason, at = 0] = (localStorage.getItem(key) ?? '').split(' ')
    if (session) {
      // A session that began earlier may belong to another worker, and does not show that the user has signed in.
      if (session.startedAt > +at) localStorage[key] = ` ${session.startedAt}`
      // A tab that missed a logout reports `storage_lost`, which does not replace a recorded reason.
    } else if (!endReason || endReason === 'storage_lost') return (reason as EndReason) || endReason
    // With `elsewhere`, a user has signed in through another worker since this session ended.
    else if (endReason !== reason && !elsewhere) localStorage[key] = `${endReason} ${now ?? at}`
  } catch {
    // Without localStorage, the reason is lost with the vault.
  }
  return endReason
}
