/**
 * An event source or a socket before it is one. What makes it whole is in a file of its own, which a page loads
 * with its first of these: src/page/streaming.ts.
 */
import type { Strongroom } from './api.js'
import type { Connection } from './connection.js'

/** What there is at once: a state, an address, and a way to give it up. */
export interface LazyTarget extends EventTarget {
  readonly url: string
  /** 0: connecting; 2: closed already. */
  readyState: number
  close(): void
  onerror?: (event: Event) => void
}

/** @throws TypeError if the address is none. */
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
