/** The globals of a page in Node, and vaults behind fake ports. */

/** Locks of one page and its workers. */
class Locks {
  #holders = new Map()

  async request(name, options, granted = options) {
    const before = this.#holders.get(name) ?? Promise.resolve()
    const signal = options?.signal
    const held = before.then(() => signal?.aborted || granted())
    this.#holders.set(
      name,
      held.catch(() => {}),
    )
    const aborted = new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    return Promise.race([held, aborted])
  }
}

/** Returns an empty localStorage or sessionStorage. */
export const storage = () =>
  Object.create({
    getItem(key) {
      return Object.hasOwn(this, key) ? this[key] : null
    },
    setItem(key, value) {
      this[key] = `${value}`
    },
    removeItem(key) {
      delete this[key]
    },
  })

/** Defines the globals that the page's code needs. Returns functions that leave and restore the page. */
export function fakePage() {
  const window = new EventTarget()
  const define = (values) => {
    for (const [name, value] of Object.entries(values)) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
    }
  }
  define({
    window,
    parent: window,
    document: Object.assign(new EventTarget(), { prerendering: false, visibilityState: 'visible' }),
    navigator: { locks: new Locks(), vendor: '' },
    location: new URL('https://app.example/'),
    history: { state: null, replaceState: (_, __, url) => (location.href = new URL(url, location).href) },
    localStorage: storage(),
    sessionStorage: storage(),
    isSecureContext: true,
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  })
  return {
    leave: () => window.dispatchEvent(new Event('pagehide')),
    restore: () => window.dispatchEvent(new Event('pageshow')),
  }
}

/** Lets all messages arrive, and all promises settle. */
export async function settled() {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const session = (sub, startedAt = 1) => ({ claims: { sub }, startedAt })

/**
 * A worker with a vault. By default the vault responds to the handshake at once, and to a logout. `received` lists the
 * messages of all pages.
 */
export class FakeWorker extends EventTarget {
  received = []
  ports = []
  isEnded = false
  /** False if the vault fails before a logout. */
  endsSessions = true
  /** The hash of issuer, client, resource and account. */
  app = 7
  /** The number of the account, if the worker's file has accounts. */
  account
  #state
  #unlock

  /** @param {{ user?: string, responds?: boolean }} [options] */
  constructor({ user, responds = true } = {}) {
    super()
    this.#state = { session: user ? session(user) : null, reason: null }
    this.responds = responds
    // A worker holds a lock as long as it runs.
    const held = new Promise((resolve) => (this.#unlock = resolve))
    navigator.locks.request((this.lock = `worker ${Math.random()}`), () => held)
  }

  postMessage(_, [port]) {
    this.ports.push(port)
    port.postMessage(this.lock)
    // The name of the page's lock is a number.
    port.onmessage = ({ data }) => Array.isArray(data) && this.#receive(port, JSON.parse(data[0]))
  }

  #receive(port, message) {
    this.received.push(message)
    if (message.t === 'hello' && this.responds) this.ready(port)
    if (message.t === 'logout' && this.endsSessions) {
      this.announce({ t: 'session', session: null, reason: 'logged_out' })
      this.send(port, { t: 'done', id: message.id, revoked: true })
    }
    if (message.t === 'bye') port.close()
  }

  send(port, message) {
    port.postMessage([JSON.stringify(message)])
  }

  /** Sends a message to the last page that has connected. */
  announce(message) {
    this.send(this.ports.at(-1), message)
  }

  ready(port = this.ports.at(-1)) {
    this.responds = true
    this.send(port, { t: 'ready', version: 2, app: this.app, account: this.account, ...this.#state })
  }

  /** Tells the page that the vault has failed. */
  fail(code) {
    this.announce({ t: 'failed', code, message: '' })
  }

  terminate() {
    this.isEnded = true
    this.#unlock()
    for (const port of this.ports) port.close()
  }
}

/**
 * Connects with `connect` to the first of these workers; each new connection takes the next one. Resolves with the client,
 * the workers that were made, and the users and codes of the client's events. A last argument that is no worker has more options.
 */
export async function connectTo(connect, ...workers) {
  const options = workers.at(-1) instanceof FakeWorker ? {} : workers.pop()
  const made = []
  const events = []
  const make = () => (made.push(workers[made.length]), made.at(-1))
  const client = await connect(make, { timeout: 10, ...options })
  client.on('change', ({ session }) => events.push(session ? session.claims.sub : null))
  client.on('failed', ({ code }) => events.push(code))
  return { client, made, events }
}
