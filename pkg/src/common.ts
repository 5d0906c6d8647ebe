/** What vaults over one store have in common: a lock, and a way to say that the store has changed. */
export interface Common {
  /** Begins to listen to the others of this name. */
  open(name: string, changed: () => void): void
  /** Waits for the lock, unless the browser gives none. It is free again when this worker is gone, too. */
  lock(granted: () => void, refused: () => void): void
  /** Waits no longer. A lock that was granted before is given back by `unlock()`. */
  giveUp(): void
  unlock(): void
  tell(): void
  /** For good: the core is gone. Whoever waits for the lock gets it. */
  close(): void
}

/** By Web Locks and a BroadcastChannel, which carries nothing: who is told reads the store. */
export const openCommon = (): Common => {
  let channel: BroadcastChannel
  let waiting: AbortController
  let release: (() => void) | undefined
  let isClosed = false
  return {
    open(name, changed) {
      channel = new BroadcastChannel(name)
      channel.onmessage = changed
    },
    lock(granted, refused) {
      waiting = new AbortController()
      const held = () =>
        new Promise<void>((resolve) => {
          if (isClosed) return resolve()
          release = resolve
          granted()
        })
      // By name, since giving up is a refusal too.
      const fail = ({ name }: Error) => name === 'AbortError' || refused()
      navigator.locks.request(channel.name, waiting, held).catch(fail)
    },
    giveUp: () => waiting?.abort(),
    unlock: () => release?.(),
    tell: () => channel.postMessage(0),
    close() {
      isClosed = true
      waiting?.abort()
      release?.()
      channel?.close()
    },
  }
}
