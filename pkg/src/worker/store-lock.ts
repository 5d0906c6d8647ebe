/**
 * Connects the vaults of one origin: vaults that share a store have a lock, and tell each other when the store has
 * changed. All vaults of the same issuer and client have a channel for hints.
 */
export interface StoreLock {
  /** Begins to listen to the others of this name. */
  open(name: string, changed: () => void): void
  /** Waits for the lock, unless the browser gives none. It is free again when this worker is gone, too. */
  lock(granted: () => void, refused: () => void): void
  /** Waits no longer. A lock that was granted before is given back by `unlock()`. */
  giveUp(): void
  unlock(): void
  tell(): void
  /** Begins to listen to hints on the channel of this name (src/vault/hints.rs). */
  hear(name: string, hinted: () => void): void
  hint(number: number): void
  /** Ends this vault, because a newer one has taken its place. */
  stop(): void
  /** For good: the core is gone. Whoever waits for the lock gets it. */
  close(): void
}

/** By Web Locks and a BroadcastChannel, which carries nothing: who is told reads the store. */
export const openStoreLock = (stop: () => void): StoreLock => {
  let hints: BroadcastChannel | undefined
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
    hear(name, hinted) {
      hints = new BroadcastChannel(name)
      hints.onmessage = hinted
    },
    hint: (number) => hints?.postMessage(number),
    stop,
    close() {
      isClosed = true
      waiting?.abort()
      release?.()
      channel?.close()
      hints?.close()
    },
  }
}
