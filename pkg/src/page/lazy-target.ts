/**
 * The object that a page gets for an event source or a socket. Its implementation is in a separate file, which is loaded
 * with the first of them: src/page/streaming.ts.
 */
import type { Strongroom } from './api.js'
import type { Connection } from './connection.js'

/** The attributes that exist before the implementation is loaded. */
export interface LazyTarget extends EventTarget {
  readonly url: string
  /** 0: connecting. 2: closed before the implementation was loaded. */
  readyState: number
  close(): void
  onerror?: (event: Event) => void
}

/** @throws TypeError if the URL is not valid. */
export const createLazyTarget = (
  kind: 'eventSource' | 'webSocket',
  connection: Connection,
  url: string | URL,
  options: unknown,
  auth?: Strongroom,
): never => {
  const target: LazyTarget = Object.assign(new EventTarget(), {
    url: new URL(url, location.href).href,
    readyState: 0,
    close() {
      target.readyState = 2
    },
  })
  import('./streaming.js').then(
    (live) => live[kind](target, connection, options as never, auth as never),
    (error) => {
      target.close()
      const failed = new ErrorEvent('error', { error })
      target.onerror?.(failed)
      target.dispatchEvent(failed)
    },
  )
  return target as never
}
