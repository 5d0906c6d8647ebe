/**
 * Connects the vaults of one origin. Vaults that share a store use a lock, and notify each other when the store has
 * changed. All vaults of the same issuer and client share a channel for hints about sign-outs. Those that also have the same
 * redirect URI share a channel for hints about sign-ins.
 */
export interface StoreLock {
  /** Starts to listen to the other vaults of this store. `lost` is called if another vault takes the lock over. */
  open(name: string, changed: () => void, lost: () => void): void
  /** Requests the lock of the store. The browser also releases the lock when this worker ends. */
  lock(granted: () => void, refused: () => void): void
  /** Cancels a pending request for the lock. A lock that is already granted needs `unlock()`. */
  giveUp(): void
  /**
   * Takes the lock over from a worker whose page is frozen. That worker has held the lock since this one requested it, or
   * since the last call, and does not answer for a second.
   */
  takeOver(): void
  /** Releases the lock, unless another vault has taken it over. */
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

/** The store has changed. The vaults that receive this message read the store. */
const CHANGED = 0
/** Asks the vault that holds the lock for an answer. */
const WHO_HOLDS = 1
const I_HOLD = 2

/** The milliseconds in which a holder that is not frozen answers. */
const ANSWERED_WITHIN = 1000

/** Uses Web Locks and BroadcastChannels: one for the vaults of a store, and those for hints. */
export const openStoreLock = (stop: () => void): StoreLock => {
  const hints: BroadcastChannel[] = []
  let channel: BroadcastChannel
  let waiting: AbortController
  let release: (() => void) | undefined
  let isClosed = false
  let onLost: () => void
  /** The worker that holds the lock for which this one waits. */
  let holder: Promise<string | undefined>
  let answered: () => void
  let take: () => Promise<void>

  const findHolder = async () => {
    // If the browser denies locks, `lock()` fails, too.
    const found = await navigator.locks?.query().catch(() => undefined)
    return found?.held?.find(({ name }) => name === channel.name)?.clientId
  }
  return {
    open(name, changed, lost) {
      onLost = lost
      channel = new BroadcastChannel(name)
      channel.onmessage = ({ data }) => {
        if (data === I_HOLD) answered?.()
        else if (data !== WHO_HOLDS) changed()
        else if (release) channel.postMessage(I_HOLD)
      }
    },
    lock(granted, refused) {
      const controller = (waiting = new AbortController())
      holder = findHolder()
      /** Releases the lock that this request was granted. */
      let unlock: (() => void) | undefined
      const held = () =>
        new Promise<void>((resolve) => {
          if (isClosed) return resolve()
          release = unlock = resolve
          granted()
        })
      // An AbortError is not a refusal: the request was aborted, or another vault has taken the lock over.
      const fail = ({ name }: Error) => {
        if (name !== 'AbortError') return refused()
        if (!unlock || release !== unlock) return
        release = undefined
        onLost()
      }
      const request = (options: LockOptions) =>
        navigator.locks.request(channel.name, options, held).catch(fail)
      take = async () => {
        const known = await holder
        const mayTake = async () => {
          const now = await (holder = findHolder())
          return known && known === now && !unlock && !controller.signal.aborted
        }
        if (!(await mayTake())) return
        const isAlive = new Promise<boolean>((resolve) => {
          answered = () => resolve(true)
          setTimeout(resolve, ANSWERED_WITHIN, false)
        })
        channel.postMessage(WHO_HOLDS)
        if (await isAlive) return
        // If two vaults take the lock over at the same time, the later one would take it from the other one.
        await navigator.locks.request(`${channel.name} taken over`, { ifAvailable: true }, async (lock) => {
          if (!lock || !(await mayTake())) return
          // Otherwise the pending request would be granted as soon as this one is released.
          controller.abort()
          void request({ steal: true })
        })
      }
      void request(controller)
    },
    giveUp: () => waiting?.abort(),
    takeOver: () => void take().catch(() => {}),
    unlock() {
      release?.()
      release = undefined
    },
    tell: () => channel.postMessage(CHANGED),
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
      release = undefined
      channel?.close()
      hints.forEach((own) => own.close())
    },
  }
}
