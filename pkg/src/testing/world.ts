/** Worlds for the tests of apps: see index.ts. */
import { StrongroomError, type DefaultClaims } from '../page/index.js'
import type { VaultConfig } from '../worker/config.js'
import type { TestOptions, TestUser, TestWorld } from './api.js'
import { loadCore } from './bundled.js'
import { createClock, toMilliseconds, turn } from './clock.js'
import { createHost } from './host.js'
import { authorize, createFacade, openPage, openPopup, takeDenial, type Stage } from './pages.js'
import { createStorage, documentAddress, ownAddress, type Surroundings } from './platform.js'
import { createBroadcastChannel, createLocks, later } from './ports.js'

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

/** Returns the configuration as the core gets it. The pinned metadata are those of another provider than the test's. */
const adapt = (config: VaultConfig): string => {
  const { metadata, pinned: _, ...rest } = config
  const issuer = config.issuer?.replace?.(/\/$/, '')
  const members = Object.entries(metadata ?? {}).map(([name, value]) => [
    name,
    name in PATHS ? issuer + PATHS[name] : value,
  ])
  return JSON.stringify({ ...rest, ...(metadata && { metadata: Object.fromEntries(members) }) })
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
