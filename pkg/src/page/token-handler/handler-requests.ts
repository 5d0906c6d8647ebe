/** Requests to the endpoints of a token handler (`strongroom/edge`), and the errors in its responses. */
import { HANDLER_HEADER } from '../../../glue/constants.js'
import type { Demand, EndReason } from '../api.js'
import { anySignal, timeoutSignal } from '../../protocol/signals.js'
import { ownOf } from '../../protocol/own.js'

/** An error of the handler itself, not of an upstream: src/edge/response.rs. */
export interface HandlerError {
  code: string
  message: string
  reason?: EndReason
  login?: Demand
}

/** The configuration that the handler shows to pages: src/edge/endpoints/client_config.rs. */
export interface HandlerConfig {
  /** The base path of the handler's endpoints. */
  base: string
  /** Time between the `expiring` event and the end of the session, in milliseconds. */
  notice: number
  routes: { url: string; prefix: string }[]
}

/** Sends requests to the handler's endpoints. */
export interface HandlerRequests {
  /** The path of the endpoints, without a slash at its end. */
  readonly base: string
  /**
   * Sends a request to `<base>/<name>`. The request fails after the time limit of `connect()`, and when the client is
   * closed.
   */
  send(name: string, mark: string, init?: RequestInit): Promise<Response>
}

export const handlerRequests = (base: string, timeout: number, closed: AbortSignal): HandlerRequests => ({
  base,
  send: (name, mark, init) =>
    fetch(`${base}/${name}`, {
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      headers: { [HANDLER_HEADER]: mark },
      signal: anySignal(closed, timeoutSignal(timeout * 1000)),
      ...init,
    }),
})

/**
 * Returns the seconds in a response's `Retry-After`, if it has a number: at least half a second, and up to a quarter more
 * than it says, so that many clients do not come back at once.
 */
export const retryAfter = ({ headers }: Response): number | undefined => {
  const value = headers.get('retry-after') ?? ''
  return /^\d+$/.test(value) ? Math.max(+value, 0.5) * (1 + Math.random() / 4) : undefined
}

/**
 * Reads the handler's error from a response. Resolves with `undefined` if the response is not an error of the handler.
 * Responses of upstream APIs do not have the header `x-strongroom`, whose value is the code. The response to HEAD has
 * only this header.
 */
export const errorIn = async (response: Response): Promise<HandlerError | undefined> => {
  const code = response.headers.get(HANDLER_HEADER)
  if (!code) return
  const body = ownOf((await response.json().catch(() => null)) as { error?: Partial<HandlerError> } | null)
  const message = `the token handler responded with status ${response.status}`
  return ownOf<HandlerError>({ code, message, ...body.error })
}
