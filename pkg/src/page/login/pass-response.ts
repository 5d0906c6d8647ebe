/** Passes an authorization response to the vault, for pages that do nothing else: the callback page and the vault's frame. */
import { PROTOCOL } from '../../../glue/constants.js'
import type { Warning } from '../../protocol/frame-messages.js'
import { ownOf, portOf } from '../../protocol/own.js'
import { BYE, HANDSHAKE, type PageMessage, type VaultMessage } from '../../protocol/messages.js'

export type AnyWorker = SharedWorker | Worker

/** The result of a login. */
export type LoginOutcome = (
  | Pick<Extract<VaultMessage, { t: 'settled' }>, 't' | 'returnTo' | 'kept' | 'again'>
  | { t: 'error'; code: string; message: string; returnTo?: string }
) & {
  /** The hash of issuer, client, resource and account, if the vault has sent it. */
  app?: number
}

/** Seconds in which the worker must respond. The worker's requests to the provider have their own time limits. */
export const HANDSHAKE_TIMEOUT = 10

export const passPort = (worker: AnyWorker, port: MessagePort, handshake: string = HANDSHAKE): void => {
  const target = portOf(worker) ?? (worker as Worker)
  target.postMessage(handshake, [port])
}

/**
 * Passes the response in `url` to the vault on a new port, and waits for the end of the login.
 *
 * @param failure Resolves when the worker's file fails, which the vault itself cannot report.
 * @param repeat Sends the page to the provider again, if the login has expired there.
 */
export const passResponse = (
  worker: AnyWorker | undefined,
  url: string,
  warn: (warning: Warning) => void,
  failure?: Promise<LoginOutcome>,
  repeat?: (url: string) => void,
): Promise<LoginOutcome> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    const send = (message: PageMessage) => port1.postMessage([JSON.stringify(message)])
    const watching = new AbortController()
    const leave = () => {
      clearTimeout(timer)
      watching.abort()
      port1.postMessage([BYE])
      port1.close()
    }
    let app: number | undefined
    const end = (outcome: LoginOutcome) => {
      leave()
      resolve({ ...outcome, app })
    }
    const fail = (code: string, message = '', returnTo?: string) =>
      end({ t: 'error', code, message, ...(returnTo !== undefined && { returnTo }) })
    const timer = setTimeout(fail, HANDSHAKE_TIMEOUT * 1000, 'worker_timeout', `${HANDSHAKE_TIMEOUT}`)
    // A worker that has sent the name of its lock runs the vault's code, and sends its own error.
    let isRunning = false
    failure?.then((outcome) => isRunning || end(outcome))
    port1.onmessage = ({ data }) => {
      if (typeof data === 'string') {
        isRunning = true
        // The worker holds this lock as long as it runs. The platform has no event for a worker's end.
        navigator.locks.request(data, watching, () => fail('vault_crashed')).catch(() => {})
        return
      }
      const message: VaultMessage = ownOf(JSON.parse(data[0]))
      if (message.t === 'error') fail(message.code, message.message, message.returnTo)
      else if (message.t === 'failed') fail(message.code, message.message)
      else if (message.t === 'ready') {
        clearTimeout(timer)
        app = message.app
        send({ t: 'callback', id: 1, url, ...(repeat && { mayRepeat: true }) })
      } else if (message.t === 'warning') warn(message)
      else if (message.t === 'settled') end(message)
      else if (message.t === 'navigate') {
        leave()
        repeat?.(message.url)
      }
    }
    if (!worker) return failure ? undefined : fail('worker_failed')
    passPort(worker, port2)
    send({ t: 'hello', version: PROTOCOL, loaded: Math.trunc(performance.timeOrigin) })
  })
