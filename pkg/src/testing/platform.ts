/** The globals of a page's code in a test double: virtual time, and an address that navigation does not leave. */
import type { Clock } from './clock.js'
import { TestChannel, type Locks, type createBroadcastChannel } from './ports.js'

/** The platform's globals that the page's code uses and that a page of a test has of its own. */
export interface PageGlobals {
  AbortSignal: unknown
  BroadcastChannel: unknown
  CloseEvent: unknown
  Date: unknown
  ErrorEvent: unknown
  MessageChannel: unknown
  Request: unknown
  addEventListener: unknown
  clearInterval: unknown
  clearTimeout: unknown
  document: unknown
  globalThis: unknown
  history: unknown
  localStorage: unknown
  location: unknown
  navigator: unknown
  parent: unknown
  performance: unknown
  reportError: unknown
  sessionStorage: unknown
  setInterval: unknown
  setTimeout: unknown
  window: unknown
}

/** The address bar of a page. */
export interface Address {
  readonly href: string
  replace(url: string | URL): void
}

/** The parts of a world that its pages share. */
export interface Surroundings {
  clock: Clock
  locks: Locks
  BroadcastChannel: ReturnType<typeof createBroadcastChannel>
  localStorage: object
  sessionStorage: object
  /** Called when the page's code navigates. */
  navigate(url: string): void
  /** Called when the page's code opens a window. */
  open(): unknown
}

/** Events of the user that the page's code listens for. A test's events are not trusted, but count too. */
const ACTIVITY = ['pointerdown', 'keydown', 'wheel', 'touchmove']
const PARTS = ['origin', 'protocol', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'] as const

/** Returns the address of a page without a document, or of a popup. */
export const ownAddress = (start: string): Address => {
  let url = new URL(start)
  return {
    get href() {
      return url.href
    },
    replace(next) {
      url = new URL(next, url)
    },
  }
}

/** Returns the address of the document, if the test runs in one. */
export const documentAddress = (): Address | undefined => {
  const { location, history } = globalThis
  if (!location || !history || !/^https?:/.test(location.href)) return
  return {
    get href() {
      return location.href
    },
    replace: (url) => history.replaceState(history.state, '', url),
  }
}

/** Returns a class of events with these default members, in place of a browser's class that Node lacks. */
const eventClass = (defaults: object) =>
  class extends Event {
    constructor(type: string, init?: object) {
      super(type)
      Object.assign(this, defaults, init)
    }
  }

/** Storage of a page, which ends with its world. */
export const createStorage = (): object => {
  const items: Record<string, string> = {}
  const methods = {
    getItem: (name: string) => items[name] ?? null,
    setItem: (name: string, value: string) => void (items[name] = `${value}`),
    removeItem: (name: string) => delete items[name],
  }
  return Object.assign(Object.setPrototypeOf(items, methods), {})
}

/** Returns the platform's `Request`, which resolves relative URLs against the page's address. */
const createRequest = (address: Address) =>
  class extends Request {
    constructor(input: RequestInfo | URL, { signal, ...init }: RequestInit = {}) {
      const isText = typeof input === 'string' || !('method' in input)
      super(isText ? new URL(String(input), address.href) : input, init)
      // In jsdom, the signal may be of another realm than `Request`, which would refuse it.
      if (signal) Object.defineProperty(this, 'signal', { value: signal })
    }
  }

const createLocation = (address: Address, navigate: (url: string) => void) => {
  const location = { assign: (url: string | URL) => navigate(new URL(url, address.href).href) }
  Object.defineProperty(location, 'href', { get: () => address.href })
  for (const part of PARTS)
    Object.defineProperty(location, part, { get: () => new URL(address.href)[part], enumerable: true })
  return location
}

/** A page's window: its own events, and the user's events in the test's document. */
const createWindow = (clock: Clock) => {
  const own = new EventTarget()
  const real = globalThis.document && globalThis.window
  const wrappers = new WeakMap<object, (event: Event) => void>()
  const wrap = (type: string, listener: (event: unknown) => void) => {
    if (!ACTIVITY.includes(type)) return listener
    const wrapper = wrappers.get(listener) ?? (() => listener({ isTrusted: true, timeStamp: clock.now() }))
    wrappers.set(listener, wrapper)
    return wrapper
  }
  const targets = () => (real ? [own, real] : [own])
  return {
    addEventListener(type: string, listener: (event: unknown) => void, options?: object) {
      for (const target of targets()) target.addEventListener(type, wrap(type, listener), options)
    },
    removeEventListener(type: string, listener: (event: unknown) => void, options?: object) {
      for (const target of targets()) target.removeEventListener(type, wrap(type, listener), options)
    },
    dispatch: (type: string) => void own.dispatchEvent(new Event(type)),
  }
}

/** A page's globals, and a function that fires an event at its window. */
export interface Platform {
  globals: PageGlobals
  dispatch(type: string): void
}

/** Creates the globals of a page. `close` is called when the page closes its window. */
export const createPlatform = (around: Surroundings, address: Address, close = () => {}): Platform => {
  const { clock, locks, navigate, open } = around
  const start = clock.now()
  const timers = clock.createTimers()
  const { dispatch, ...events } = createWindow(clock)
  /** Navigates. The time limits of a page that was left must not pass, although the test still uses the page. */
  const leave = (url: string) => {
    timers.clearAll()
    navigate(url)
  }
  const window = { ...events, open, close }
  const document = {
    prerendering: false,
    addEventListener() {},
    removeEventListener() {},
    querySelector: () => null,
  }
  const globals: PageGlobals = {
    // A time limit of this page is in virtual time. Only `timeout` is used.
    AbortSignal: {
      timeout(delay: number) {
        const controller = new AbortController()
        timers.setTimeout(() => controller.abort(), delay)
        return controller.signal
      },
    },
    BroadcastChannel: around.BroadcastChannel,
    CloseEvent: globalThis.CloseEvent ?? eventClass({ code: 0, reason: '', wasClean: false }),
    Date: { now: clock.now },
    ErrorEvent: globalThis.ErrorEvent ?? eventClass({ error: undefined, message: '' }),
    MessageChannel: TestChannel,
    Request: createRequest(address),
    addEventListener: events.addEventListener,
    clearInterval: timers.clear,
    clearTimeout: timers.clear,
    document,
    globalThis: {
      isSecureContext: true,
      document,
      ReadableByteStreamController: globalThis.ReadableByteStreamController,
    },
    history: {
      state: null,
      replaceState: (_state: unknown, _title: string, url: string | URL) => address.replace(url),
    },
    localStorage: around.localStorage,
    location: createLocation(address, leave),
    navigator: { vendor: '', locks },
    parent: window,
    performance: { timeOrigin: start, now: () => clock.now() - start },
    reportError: (error: unknown) => console.error(error),
    sessionStorage: around.sessionStorage,
    setInterval: timers.setInterval,
    setTimeout: timers.setTimeout,
    window,
  }
  return {
    globals,
    dispatch(type) {
      dispatch(type)
      if (type === 'pagehide') timers.end()
    },
  }
}
