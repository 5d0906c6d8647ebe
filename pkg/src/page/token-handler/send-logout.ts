/** A logout at a token handler, which is sent again while only the way to the handler fails. */
import { HANDLER_HEADER, USER } from '../../../glue/constants.js'
import { ownOf } from '../../protocol/own.js'
import { type Failure, repeat } from '../../protocol/repeat.js'
import { retryAfter } from './handler-requests.js'

/** Milliseconds within which a logout is sent again. */
const LOGOUT_TIME = 20_000

/** An error of a logout, for {@link repeat}. */
interface LogoutFailure extends Failure {
  code: string
  message: string
}

/**
 * Sends a logout. Resolves with the first response that does not come from a proxy whose server is down.
 *
 * A further attempt must not sign out another user, who may have signed in by then. So it names the session, and the
 * handler ignores it if the browser has another one (src/edge/endpoints/logout.rs). If the session is not known, only one
 * attempt is made.
 *
 * @param path The address of the logout, for error messages.
 * @param send Sends one attempt with these headers.
 * @param startedAt The start of the session that the logout is for.
 * @param isForAny True if the first attempt ends the browser's session, also if it is another one.
 */
export const sendLogout = (
  path: string,
  send: (headers: Record<string, string>) => Promise<Response>,
  startedAt: number | string | undefined,
  isForAny?: boolean,
): Promise<Response> => {
  const post = (mark: string) => send({ [HANDLER_HEADER]: mark })
  const named = startedAt && `${USER} ${startedAt}`
  let failed: LogoutFailure | undefined
  const attempt = async (): Promise<Response> => {
    const mark = named && (failed || !isForAny) ? named : USER
    let response: Response | undefined
    try {
      response = await post(mark)
      if (mark !== USER && response.headers.get(HANDLER_HEADER) === 'cross_site_request') {
        // A handler of an earlier version refuses a header that names a session. Without the name, it would end any session.
        if (failed) throw { ...failed, isFinal: true }
        // If this attempt fails, the response before it must not count.
        response = undefined
        response = await post(USER)
      }
    } catch (error: any) {
      // The client was closed.
      if (ownOf(error as Partial<LogoutFailure>).code) throw Object.assign(error, { isFinal: true })
    }
    if (response && (response.headers.has(HANDLER_HEADER) || !/^50[234]$/.test(`${response.status}`)))
      return response
    failed = {
      code: 'handler_unreachable',
      message: response ? `${path} responded with status ${response.status}` : `${path} did not respond`,
      isFinal: !named,
      after: response && retryAfter(response),
    }
    throw failed
  }
  return repeat(attempt, performance.now() + LOGOUT_TIME)
}
