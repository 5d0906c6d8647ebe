/** Worlds for the tests of apps: see index.ts. */
import type { Auth } from '../page/auth/auth.js'
import { StrongroomError, type AuthState, type DefaultClaims } from '../page/index.js'
import type { VaultConfig } from '../worker/config.js'
import { loadCore, loadPage } from './bundled.js'
import { createClock, toMilliseconds, turn, type Clock } from './clock.js'
import { createHost, type Host } from './host.js'
import {
  createPlatform,
  createStorage,
  documentAddress,
  ownAddress,
  type Address,
  type Platform,
  type Surroundings,
} from './platform.js'
import { createBroadcastChannel, createLocks, later } from './ports.js'

/**
 * The API of a test. Returns the response to a request that carries a valid access token of the world. A rejection is a
 * network failure, as is `Response.error()`. An error other than `TypeError` is also printed.
 */
export type TestApi = (request: Request) => Response | Promise<Response>

/** Claims of a user. `sub` is derived from `name` if it is missing. */
export interface TestUser extends DefaultClaims {
  sub?: string
  [claim: string]: unknown
}

/** A call that an API has received, or that has failed. */
export interface TestCall {
  method: string
  url: string
  /** The headers that the page has set. */
  headers: Record<string, string>
  /** `null` without a response. */
  status: number | null
}

export type SocketData = string | ArrayBuffer

/** The server's end of a socket that a page has opened with `auth.webSocket()`. */
export interface TestSocket {
  /** The URL of the handshake. Contains the access token if the rule says so. */
  readonly url: string
  /** The sub-protocols of the handshake. One contains the access token if the rule says so. */
  readonly protocols: readonly string[]
  /** The sub-protocol that the server chooses. Default: none. */
  protocol: string
  /** Called with each message of the page, and with the vault's first message if the rule says so. */
  onmessage: ((data: SocketData | Blob) => void) | null
  /** Called when the page or the vault closes the socket, or the network fails. */
  onclose: ((code: number, reason: string) => void) | null
  send(data: SocketData): void
  close(code?: number, reason?: string): void
}

/** Options of {@link testWorld}. */
export interface TestOptions {
  /** Responds to calls. Without it, `auth.fetch` rejects with `unsupported`. */
  api?: TestApi
  /**
   * Serves a socket, which opens when the function returns. If the function throws, the handshake fails. Without
   * this option, a socket fails with `unsupported`.
   */
  socket?: (socket: TestSocket) => void
  /** Called after a redirect login, as for `createAuth()`. */
  onReturn?: (returnTo: string) => void
  /**
   * The reaction to a navigation to the provider. `'leave'` (default): the login's promise does not settle, as in a
   * browser, and `world.navigations` has the URL. `'follow'`: the user signs in, and the page is loaded again at the
   * redirect URI. `world.followRedirect()` does the same for one navigation.
   */
  redirects?: 'leave' | 'follow'
  /** The page's URL, if the test does not run in a document. Default: `https://app.example.com/`. */
  url?: string
  /** The lifetime of access tokens in seconds. Default 300. */
  accessTokenLifetime?: number
  /** The time at which the world starts. Default: now. */
  now?: number | Date
  /** Allows the test double in a page that was served over https, such as a published Storybook. */
  allowHttps?: boolean
}

/** The provider of a world. */
export interface TestProvider {
  /** Ends all sessions, as an administrator may. The vault notices with the next call or refresh. */
  revoke(): void
  /** Lets the provider respond to each request with status 503, until `up()`. */
  down(): void
  up(): void
  /** Refuses the next login, with an error code of RFC 6749 4.1.2.1 or RFC 8628 3.5. Default: `access_denied`. */
  deny(error?: string): void
}

/** A vault with its surroundings, in memory and in virtual time. */
export interface TestWorld<Claims = DefaultClaims> {
  /** The app's auth object, as `createAuth()` returns it. Its page is the page of the test. */
  readonly auth: Auth<Claims>
  readonly provider: TestProvider
  /** The time in milliseconds since the Unix epoch. Only `advance()` changes it. */
  readonly now: number
  /** The number of refreshes that the vault has sent. */
  readonly refreshes: number
  /** All calls so far. */
  readonly calls: readonly TestCall[]
  /** The URLs to which the page has navigated. */
  readonly navigations: readonly string[]
  /**
   * Signs a user in at once, as another tab of the app would do. This user is also the user of later logins. Default:
   * Alice, as in all logins until another user is set.
   *
   * @throws `StrongroomError` `unsupported` if the login fails, for instance because the provider is down.
   */
  signIn(user?: TestUser): void
  /**
   * Signs the user out, as another tab of the app would do with `auth.logout()`. The session ends at once in all pages,
   * with the end reason `logged_out`. The session at the provider goes on.
   */
  signOut(): void
  /** Sets the user of later logins. The current session stays as it is. */
  setUser(user: TestUser): void
  /** Reports activity of the user, which extends the idle limit. Events in the test's document count too. */
  touch(): void
  /**
   * Lets time pass: milliseconds, or a string such as `'90s'`, `'31m'` or `'1h30m'`. Timers of the vault and of the
   * page's code fire in order, and requests are answered.
   */
  advance(duration: string | number): Promise<void>
  /** Waits until nothing more happens at the current time. A call whose `api` has not responded stays pending. */
  settle(): Promise<void>
  /**
   * Ends the vault's worker, as a crash does. The page creates another worker. With `persist: 'sealed'` or `'escrow'`
   * the session continues there, and otherwise it ends.
   */
  crash(): void
  /** Cuts the network, until `online()`. */
  offline(): void
  /** Restores the network. A provider that is down stays down. */
  online(): void
  /**
   * Signs the user in at an authorization URL. Returns the address of the redirect back, for {@link Auth.login} with
   * `mode: 'custom'`: `open: (url) => world.authorize(url)`.
   */
  authorize(url: string): string
  /**
   * Signs the user in on another device, for {@link Auth.login} with `mode: 'device'`. `userCode` is the code that
   * `onCode` has received. The vault notices when it polls the provider: `advance('5s')`.
   *
   * @throws `StrongroomError` `unsupported` if the provider has not issued this code, or if the code was used.
   */
  enterCode(userCode: string): void
  /**
   * Signs the user in at the URL of the last navigation, and loads the page again at the redirect URI. If the page has
   * navigated to sign out, loads the page again at its current URL.
   */
  followRedirect(): Promise<void>
  /** Loads the page again: pending promises of the old page never settle. */
  reload(): Promise<void>
  /** Disconnects the page. Call it at the end of each test. */
  close(): void
}

/** The number of rounds without an event after which nothing more is expected to happen. */
const QUIET_ROUNDS = 2
const MAX_ROUNDS = 1000

const BANNER =
  'strongroom/testing: this is a test double. Users, tokens and the provider are made up, and nothing is protected.'
let hasBanner = false

const refuse = (message: string): never => {
  throw new StrongroomError('unsupported', message)
}

/** Refuses to run where a user could take the test double for the real thing. */
const checkPlace = (allowHttps: boolean | undefined) => {
  const isNode = !!(globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node
  // A frame without a URL of its own, and a worker from a `blob:` URL, have the origin of their page. A sandboxed page
  // has an opaque origin, but `location` still has its URL.
  const origins = [globalThis.origin, globalThis.location?.origin]
  if (!isNode && origins.some((origin) => origin?.startsWith('https:')) && !allowHttps) {
    refuse(
      'strongroom/testing does not run in a page served over https, because nothing is protected there. For a published Storybook, pass { allowHttps: true }.',
    )
  }
  if (hasBanner) return
  hasBanner = true
  console.info(BANNER)
}

/** Endpoints of the provider in the configuration's metadata. The test's provider has them at its own paths. */
const PATHS: Record<string, string> = {
  authorization_endpoint: '/authorize',
  token_endpoint: '/token',
  jwks_uri: '/jwks',
  revocation_endpoint: '/revoke',
  end_session_endpoint: '/logout',
  pushed_authorization_request_endpoint: '/par',
  device_authorization_endpoint: '/device',
  userinfo_endpoint: '/userinfo',
}

/** Returns the configuration as the core gets it. */
const adapt = (config: VaultConfig): string => {
  const { metadata, ...rest } = config
  const issuer = config.issuer?.replace?.(/\/$/, '')
  const members = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    name in PATHS ? issuer + PATHS[name] : value,
  ])
  return JSON.stringify({ ...rest, ...(metadata && { metadata: Object.fromEntries(members) }) })
}

/** A page of the world: an instance of the page's code. */
interface Page {
  auth: Auth<any>
  platform: Platform
}

/** The parts of a world that its pages and popups use. */
interface Stage {
  clock: Clock
  host: Host
  around: Surroundings
  /** The error code with which the provider refuses the next login. */
  denial: { code?: string | undefined }
}

const openPage = (
  { around, host }: Stage,
  address: Address,
  options: TestOptions,
  close?: () => void,
): Page => {
  const platform = createPlatform(around, address, close)
  const { createAuth } = loadPage(platform.globals)
  const { onReturn } = options
  const auth = createAuth({ shared: () => host.createWorker() as SharedWorker }, onReturn ? { onReturn } : {})
  return { auth, platform }
}

/** Returns the error code that `deny()` has set, and clears it, so that it applies to one login only. */
const takeDenial = ({ denial }: Stage) => {
  const { code } = denial
  denial.code = undefined
  return code
}

/** Signs the user in at the URL of an authorization request, or refuses. Returns the URL of the redirect back. */
const authorize = (stage: Stage, url: string): string =>
  stage.host.use((core) => core.authorize(url, takeDenial(stage)))

/** Opens a window for a login. The user signs in there as soon as the window is sent to the provider. */
const openPopup = (stage: Stage, options: TestOptions) => {
  const popup = {
    closed: false,
    opener: null,
    close() {
      popup.closed = true
    },
    location: {
      assign: (url: string | URL) =>
        later(() => {
          const address = ownAddress(authorize(stage, `${url}`))
          const page = openPage(stage, address, options, () => {
            popup.close()
            later(() => page.platform.dispatch('pagehide'))
          })
          page.auth.connect().catch(() => {})
        }),
    },
  }
  return popup
}

/** Returns an `Auth` that stays the same when the page is loaded again. */
const createFacade = (current: () => Auth<any>) => {
  const subscriptions = new Set<{ listener: (state: AuthState<any>) => void; stop: () => void }>()
  const auth: Auth<any> = {
    get state() {
      return current().state
    },
    subscribe(listener) {
      const subscription = { listener, stop: current().subscribe(listener) }
      subscriptions.add(subscription)
      return () => {
        subscription.stop()
        subscriptions.delete(subscription)
      }
    },
    fetch: (input, init) => current().fetch(input, init),
    eventSource: (url, init) => current().eventSource(url, init),
    webSocket: (url, protocols) => current().webSocket(url, protocols),
    login: (options) => current().login(options),
    logout: (options) => current().logout(options),
    requireSession: (options) => current().requireSession(options),
    connect: () => current().connect(),
    reconnect: () => current().reconnect(),
    close: () => current().close(),
  }
  /** Moves all subscriptions to the page that has been loaded. */
  const move = () => {
    for (const subscription of subscriptions) {
      subscription.stop()
      subscription.stop = current().subscribe(subscription.listener)
    }
  }
  return { auth, move }
}

/** The user of a world in which the test has not set another one. */
const DEFAULT_USER: TestUser = { name: 'Alice' }

const claimsOf = (user: TestUser) =>
  JSON.stringify({ ...user, sub: user.sub ?? (user.name ?? 'alice').toLowerCase().replace(/\W+/g, '-') })

/**
 * Creates a world for the tests of an app: the vault's real core and the page's real code, with a provider and APIs in
 * memory, and in virtual time. At first there is no session.
 *
 * @param config The configuration that the worker's file passes to `vault()`.
 * @typeParam Claims The claims that the configuration's `claims` names.
 * @throws `StrongroomError` `config_invalid`; `unsupported` in a page served over https without
 *   `allowHttps`; `wasm_blocked` in a page whose Content-Security-Policy forbids WebAssembly.
 */
export const testWorld = async <Claims = DefaultClaims>(
  config: VaultConfig,
  options: TestOptions = {},
): Promise<TestWorld<Claims>> => {
  checkPlace(options.allowHttps)
  const address = documentAddress() ?? ownAddress(options.url ?? 'https://app.example.com/')
  const { TestCore } = await loadCore()
  const createCore = () => {
    try {
      return new TestCore(
        adapt(config),
        new URL('/auth.worker.js', address.href).href,
        Number(options.now ?? Date.now()),
      )
    } catch (error) {
      if (typeof error !== 'string') throw error
      throw new StrongroomError('config_invalid', error)
    }
  }
  const core = createCore()
  if (options.accessTokenLifetime) core.setLifetime(options.accessTokenLifetime)
  const clock = createClock(() => core.now())
  const locks = createLocks()
  const host = createHost(core, locks, options)
  const navigations: string[] = []
  const around: Surroundings = {
    clock,
    locks,
    BroadcastChannel: createBroadcastChannel(),
    localStorage: createStorage(),
    sessionStorage: createStorage(),
    navigate(url) {
      navigations.push(url)
      if (options.redirects === 'follow') later(() => void world.followRedirect().catch(console.error))
    },
    open: () => openPopup(stage, options),
  }
  const stage: Stage = { clock, host, around, denial: {} }
  let page = openPage(stage, address, options)
  const facade = createFacade(() => page.auth)

  const settle = async () => {
    let quiet = 0
    for (let round = 0; quiet < QUIET_ROUNDS && round < MAX_ROUNDS; round++) {
      const before = host.activity()
      await turn()
      quiet = host.activity() === before ? quiet + 1 : 0
    }
    // Throws if the core has failed since the last call.
    host.use(() => {})
  }
  const reload = async () => {
    page.platform.dispatch('pagehide')
    page = openPage(stage, address, options)
    facade.move()
    await page.auth.connect().catch(() => {})
    await settle()
  }
  let isDown = false
  /** Makes requests to the provider fail as the network and the provider do now. */
  const updateFaults = () => {
    const status = host.isOffline ? 0 : isDown ? 503 : undefined
    host.use((core) => core.fail(status))
  }
  const setDown = (value: boolean) => {
    isDown = value
    updateFaults()
  }

  const world: TestWorld<Claims> = {
    auth: facade.auth,
    provider: {
      revoke: () => host.use((core) => core.revoke()),
      down: () => setDown(true),
      up: () => setDown(false),
      deny(error = 'access_denied') {
        stage.denial.code = error
      },
    },
    get now() {
      return core.now()
    },
    get refreshes() {
      return core.refreshes()
    },
    calls: host.calls,
    navigations,
    signIn(user = DEFAULT_USER) {
      world.setUser(user)
      const code = host.use((core) => core.signIn())
      if (code) refuse(`signIn() failed with ${code}: is the provider down, or the device offline?`)
    },
    signOut: () => host.use((core) => core.signOut()),
    setUser: (user) => host.use((core) => core.setUser(claimsOf(user))),
    touch: () => page.platform.dispatch('pointerdown'),
    async advance(duration) {
      let left = toMilliseconds(duration)
      await settle()
      for (let idle = 0; ;) {
        const due = clock.next() ?? Infinity
        const passed = host.use((core) => core.step(Math.min(left, Math.max(Math.ceil(due - core.now()), 0))))
        left -= passed
        clock.runDue()
        await settle()
        if (left <= 0) return
        idle = passed ? 0 : idle + 1
        if (idle > MAX_ROUNDS) throw new Error('timers without a delay keep the time from passing')
      }
    },
    settle,
    crash: () => host.crash(),
    offline() {
      host.isOffline = true
      updateFaults()
    },
    online() {
      host.isOffline = false
      updateFaults()
      page.platform.dispatch('online')
    },
    authorize: (url) => authorize(stage, url),
    enterCode(userCode) {
      const isKnown = host.use((core) => core.enterCode(userCode, takeDenial(stage)))
      if (!isKnown) refuse(`the provider has issued no code '${userCode}', or the code was used`)
    },
    async followRedirect() {
      const url = navigations.at(-1)
      if (!url) return refuse('there is no redirect to follow: the page has not navigated')
      const isLogin = new URL(url).pathname.endsWith('/authorize')
      if (isLogin) address.replace(authorize(stage, url))
      await reload()
    },
    reload,
    close() {
      page.auth.close()
      page.platform.dispatch('pagehide')
    },
  }
  world.setUser(DEFAULT_USER)
  await page.auth.connect()
  return world
}
