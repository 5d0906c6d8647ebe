/**
 * The object that a page gets for an event source or a socket. With a vault, the implementation is in a separate file,
 * src/page/streaming/streaming.ts. A page loads that file when it first creates an event source or a socket, or first
 * passes `onProgress`. With a token handler, src/page/token-handler/token-handler-client.ts implements the object.
 */
import type { EndReason, Strongroom } from '../api.js'
import type { MediaRequest } from '../../protocol/media-messages.js'

/** The attributes that exist before the implementation is loaded. */
export interface LazyTarget extends EventTarget {
  readonly url: string
  /** 0: connecting. 2: closed before the implementation was loaded. */
  readyState: number
  close(): void
  onerror?: (event: Event) => void
}

/** A client that accepts targets that the app created before the client was connected. */
export interface LazyClient extends Strongroom {
  eventSource(url: string | URL, init?: EventSourceInit, target?: LazyTarget): EventSource
  webSocket(url: string | URL, protocols?: string | string[], target?: LazyTarget): WebSocket
  /** Has the vault respond on `port` to a request of the service worker. Rejects if the request fails. */
  relay(request: MediaRequest, port: MessagePort): Promise<never>
  /** The name of this app and account in the page's records: the hash that the vault sends, or the path of a token handler. */
  readonly name: string | number
  /** Records the end or the begin of a session, and returns the reason of the last end: see end-record.ts. */
  recordEnd(): EndReason | null
}

/**
 * Creates a target without an implementation.
 *
 * @throws TypeError if the URL is not valid.
 */
export const createTarget = (url: string | URL): LazyTarget => {
  const target: LazyTarget = Object.assign(new EventTarget(), {
    url: new URL(url, location.href).href,
    readyState: 0,
    close() {
      target.readyState = 2
    },
  })
  return target
}

/** Closes a target that has no implementation, and fires an `error` event at it. */
export const failTarget = (target: LazyTarget, error: unknown): void => {
  target.close()
  const failed = new ErrorEvent('error', { error })
  target.onerror?.(failed)
  target.dispatchEvent(failed)
}
