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
 * The record consists of the reason and the time of the end in milliseconds since the Unix epoch. The record is empty
 * after the user has signed in.
 *
 * @param app The hash of issuer and client that the vault sends, or the path of a token handler.
 */
export const recordEnd = (
  app: string | number,
  { session, endReason, elsewhere }: Pick<Strongroom, 'session' | 'endReason' | 'elsewhere'>,
): EndReason | null => {
  try {
    const key = `${END} ${app}`
    const write = (reason: string) => (localStorage[key] = reason && `${reason} ${Date.now()}`)
    const [reason, at] = (localStorage[key] ?? '').split(' ')
    if (session) {
      // A session that began earlier may belong to another worker, and does not show that the user has signed in.
      if (session.startedAt > (at ?? 0)) write('')
      // A tab that missed a logout reports `storage_lost`, which does not replace a recorded reason.
    } else if (!endReason || endReason === 'storage_lost') return (reason as EndReason) || endReason
    // With `elsewhere`, a user has signed in through another worker since this session ended.
    else if (endReason !== reason && !elsewhere) write(endReason)
  } catch {
    // Without localStorage, the reason is lost with the vault.
  }
  return endReason
}
