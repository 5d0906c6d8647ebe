/** Stand-ins for ports, channels and locks between pages and the worker. Messages are delivered in order, later. */

/** One end of a connection. */
export interface Port {
  onmessage?: ((event: { data: any }) => void) | null
  postMessage(data: unknown): void
  close(): void
}

/** The worker's end of a connection. */
export interface WorkerPort {
  /** Called with each message of the page. */
  receive?: (data: any) => void
  /** Delivers a message to the page at once. */
  deliver(data: unknown): void
  close(): void
}

/** Calls `action` after the current task's code. Fake timers of test runners do not replace promises. */
export const later = (action: () => void): void => void Promise.resolve().then(action)

/** The platform's `MessageChannel`, with a worker's end in place of the second port. */
export class TestChannel {
  readonly port1: Port
  readonly port2: WorkerPort

  constructor() {
    let isOpen = true
    const early: unknown[] = []
    const close = () => {
      isOpen = false
    }
    this.port1 = {
      postMessage: (data) =>
        later(() => {
          early.push(data)
          while (isOpen && this.port2.receive && early.length) this.port2.receive(early.shift())
        }),
      // Messages that were posted before, such as `bye`, still arrive.
      close: () => later(() => later(close)),
    }
    this.port2 = {
      deliver: (data) => {
        if (isOpen) this.port1.onmessage?.({ data })
      },
      close,
    }
  }
}

/** Returns a class `BroadcastChannel` whose instances only reach each other. */
export const createBroadcastChannel = () => {
  const all = new Set<TestBroadcastChannel>()
  class TestBroadcastChannel {
    onmessage?: (event: { data: unknown }) => void
    readonly name: string

    constructor(name: string) {
      this.name = name
      all.add(this)
    }

    postMessage(data: unknown): void {
      later(() => {
        for (const other of [...all]) {
          if (other !== this && other.name === this.name) other.onmessage?.({ data })
        }
      })
    }

    close(): void {
      all.delete(this)
    }
  }
  return TestBroadcastChannel
}

type Granted = () => unknown

/** Stand-in for Web Locks: exclusive locks of one origin. */
export interface Locks {
  request(name: string, options: { signal?: AbortSignal } | Granted, granted?: Granted): Promise<unknown>
  /** Holds a lock. Returns a function that releases it. */
  hold(name: string): () => void
}

export const createLocks = (): Locks => {
  const queues = new Map<string, (() => void)[]>()
  const release = (name: string) => {
    const queue = queues.get(name)!
    queue.shift()
    if (queue.length) later(queue[0]!)
    else queues.delete(name)
  }
  const enqueue = (name: string, start: () => void, signal?: AbortSignal) => {
    const queue = queues.get(name) ?? []
    queues.set(name, queue)
    queue.push(start)
    if (queue.length === 1) start()
    signal?.addEventListener('abort', () => {
      const place = queue.indexOf(start)
      if (place > 0) queue.splice(place, 1)
    })
  }
  return {
    request: (name, options, granted = options as Granted) =>
      new Promise((resolve) => {
        const start = () =>
          later(async () => {
            await granted()
            release(name)
            resolve(undefined)
          })
        enqueue(name, start, (options as { signal?: AbortSignal }).signal)
      }),
    hold(name) {
      enqueue(name, () => {})
      return () => release(name)
    },
  }
}
