/**
 * Connects the vaults of one origin. Vaults that share a store use a lock, and notify each other when the store has
 * changed. All vaults of the same issuer and client share a channel for hints about sign-outs, and those that have the
 * redirect URI in common, too, one for hints about sign-ins.
 */
export interface StoreLock {
  /** Starts to listen to the other vaults of this store. */
  open(name: string, changed: () => void): void
  /** Requests the lock of the store. The browser also releases the lock when this worker ends. */
  lock(granted: () => void, refused: () => void): void
  /** Cancels a pending request for the lock. A lock that is already granted needs `unlock()`. */
  giveUp(): void
  unlock(): void
  /** Notifies the other vaults that the store has changed. */
  tell(): void
  /** Starts to listen to hints on the channel of this name (src/vault/hints.rs), besides those of earlier calls. */
  hear(name: string, hinted: () => void): void
  /** Posts a hint. `channel` is the number of the call of `hear()` that named the channel, from 0. */
  hint(channel: number, number: number): void
  /** Ends this vault because a newer vault has replaced it. */
  stop(): void
  /** Releases everything after the core has stopped. The next vault in the queue gets the lock. */
  close(): void
}

/**
 * Uses Web Locks and BroadcastChannels: one for changes of the store, and those for hints. A message about a change
 * has no content, because the vault that receives it reads the store.
 */
export const openStoreLock = (stop: () => void): StoreLock => {
  const hints: BroadcastChannel[] = []
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
      // An aborted request for the lock also rejects, but does not count as refused.
      const fail = ({ name }: Error) => name === 'AbortError' || refused()
      navigator.locks.request(channel.name, waiting, held).catch(fail)
    },
    giveUp: () => waiting?.abort(),
    unlock: () => release?.(),
    tell: () => channel.postMessage(0),
    hear(name, hinted) {
      const length = hints.push(new BroadcastChannel(name))
      hints[length - 1]!.onmessage = hinted
    },
    hint: (channel, number) => hints[channel]?.postMessage(number),
    stop,
    close() {
      isClosed = true
      waiting?.abort()
      release?.()
      channel?.close()
      hints.forEach((own) => own.close())
    },
  }
}
