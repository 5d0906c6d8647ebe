/** The line about `Clear-Site-Data`, which deletes a session. Only the response to a logout should have this header. */
import type { Deployment } from './deployment.js'
import { check, fault, type Verdict } from './report.js'
import { type Reply, seenHeader } from './requests.js'

const NAME = 'Clear-Site-Data'

/** Matches what deletes the session of a vault. */
const OF_VAULT = /"(storage|executionContexts|\*)"/

/** Returns a fault if a response deletes the session: the callback page, or the worker's file. */
export const otherDeletion = (what: string, reply: Reply): Verdict | undefined =>
  OF_VAULT.test(reply.header(NAME) ?? '')
    ? fault(
        `each request for ${what} deletes the session`,
        seenHeader(reply, NAME),
        `no ${NAME} with ${what}: send it with the response to a logout only`,
      )
    : undefined

/** Judges whether a visit of the page deletes the session. */
export const deletion = ({ page, needsWorker, options }: Deployment): Verdict | undefined => {
  // With a vault on its own origin, the session is on that origin.
  if (options.vaultFrame && !needsWorker) return undefined
  const deletes = needsWorker ? OF_VAULT : /"(cookies|\*)"/
  return check(
    'a visit of the page deletes no session',
    deletes.test(page.header(NAME) ?? '') && 'each visit of the page deletes the session',
    seenHeader(page, NAME),
    `no ${NAME} with pages of the app: send it with the response to a logout only`,
  )
}
