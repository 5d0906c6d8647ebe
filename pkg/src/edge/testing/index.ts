/**
 * `strongroom/edge/testing`: signed-in cookies for end-to-end tests of an app that has the token handler, without a
 * provider. For Node, Bun and Deno. See docs/testing-your-app.md#sign-in-to-a-token-handler.
 *
 * ```ts
 * const sessions = await testSessions(config, { url: 'http://localhost:3000' })
 * process.env.COOKIE_KEYS = sessions.keys // before the app under test starts
 * await context.addCookies(await sessions.cookies({ claims: { sub: 'alice', name: 'Alice' } }))
 * ```
 *
 * @module
 */
import { DEFAULT_BASE } from '../../../glue/constants.js'
import { StrongroomError } from '../../page/errors/error.js'
import { configJson, type TokenHandlerConfig } from '../config.js'
import type { LogEntry } from '../events.js'
import type { TokenHandler } from '../handler.js'
import { createTokenHandler, inIsolate } from '../index.js'
import { SEND, type WithSend } from '../upstream/provider.js'
import { cookiesOf, type TestCookie } from './cookies.js'
import { authorize, createProvider, type TestSession } from './provider.js'

export type { TestCookie, TestSession }

/** The options of {@link testSessions}. */
export interface TestSessionsOptions {
  /** The address at which browsers open the app under test. Default: `origin` of the configuration, if it is one string. */
  url?: string
  /**
   * The keys of the app under test, from {@link testKeys}, if another process starts the app. Default: new keys, which
   * `sessions.keys` has.
   */
  keys?: string
  /** The value that functions in the configuration receive. Default: `process.env`. */
  env?: unknown
}

/** Sessions of an app under test. */
export interface TestSessions {
  /** The value of `cookie.keys` for the app under test. */
  readonly keys: string
  /**
   * Signs a user in, and resolves with the cookies of the new session, for `context.addCookies()` of Playwright.
   *
   * @throws `StrongroomError` `config_invalid` if the handler refuses such a login.
   */
  cookies(session?: TestSession): Promise<TestCookie[]>
}

/** The beginning of all test keys, which handlers warn about: base64 of `test-only`. The other 23 bytes are random. */
const TEST_ONLY = 'dGVzdC1vbmx5'

/** Returns random keys for an app under test. No other value is accepted as `keys` of {@link testSessions}. */
export const testKeys = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(23))
  return TEST_ONLY + btoa(String.fromCharCode(...bytes))
}

/**
 * Prepares signed-in sessions for end-to-end tests. A handler with the same configuration, but with the keys of these
 * sessions, accepts their cookies. No other handler does.
 *
 * @param config The configuration of the app's handler. Values that only its server needs are not read: `cookie.keys`,
 *   `client.auth`, `routes`, `coordinator`, `metadata`, and where and how sessions are stored and bound.
 * @throws `StrongroomError` `config_invalid`.
 */
export const testSessions = async (
  config: TokenHandlerConfig,
  options: TestSessionsOptions = {},
): Promise<TestSessions> => {
  // `keys: undefined` is an error, such as for a variable that is not set: the app would refuse cookies of new keys.
  const keys = 'keys' in options ? options.keys : testKeys()
  const { url, env = processEnv() } = options
  if (typeof keys !== 'string' || !keys.startsWith(TEST_ONLY)) {
    throw refused(
      '`keys` must be a value of testKeys(), with which the app under test runs: this one is missing, or of another server',
    )
  }
  const prepared = prepare(config, keys)
  const client = JSON.parse(configJson(prepared, env))
  const { origin } = appUrl(url, client.origin)
  const provider = await createProvider(client)

  /** Creates a handler whose provider signs in the user of this session. */
  const create = (session: TestSession, log: (line: LogEntry) => void): TokenHandler => {
    const replaced: WithSend = { [SEND]: provider.sendFor(session) }
    return createTokenHandler({ ...prepared, ...replaced, metadata: provider.metadata, log })
  }
  // A wrong configuration is reported now, and not with the first session.
  await create({}, () => {}).ready(env)
  return {
    keys,
    async cookies(session = {}) {
      const lines: LogEntry[] = []
      const handler = create(session, (line) => {
        // The warning about test keys is for handlers in production.
        if (line.code !== 'config_invalid' || line.level !== 'warn') lines.push(line)
      })
      const response = await signIn(
        (request) => handler.fetch(request, env),
        `${origin}${client.base ?? DEFAULT_BASE}/login`,
      )
      const cookies = cookiesOf(response, origin)
      // For an invalid value, such as a negative `expiresIn`, the handler uses a default, and says so in its log.
      const fault = lines.find(({ code }) => code === 'token_response_invalid')
      if (cookies.length && !fault) return cookies
      const { code, message } = fault ?? lines.at(-1) ?? { code: response.status, message: 'no session' }
      throw refused(`the handler refuses this login: ${code}: ${message}`)
    },
  }
}

/** Returns the configuration without the parts that only the app's server needs. */
const prepare = (config: TokenHandlerConfig, keys: string): TokenHandlerConfig => {
  const { idTokenSignedResponseAlg, observe, onSessionEnd, par, routes, session, ...rest } = config
  const { bind, bindExclude, storage, ...limits } = session ?? {}
  return {
    ...rest,
    client: { id: config.client?.id, auth: { method: 'none' } },
    cookie: { ...config.cookie, keys },
    coordinator: inIsolate(),
    session: limits,
  }
}

/** Returns the URL of the app under test. `origin` is the option of the handler. */
const appUrl = (url: string | undefined, origin: unknown): URL => {
  const only = typeof origin === 'string' ? origin : undefined
  const text = url ?? only ?? ''
  const app = /^https?:/.test(text) && URL.canParse(text) ? new URL(text) : undefined
  if (!app)
    throw refused(
      '`url` must be the address at which the app under test is opened, such as http://localhost:3000',
    )
  if (only !== undefined && URL.canParse(only) && new URL(only).origin !== app.origin)
    throw refused(
      `\`url\` must be an address of the configured \`origin\`, ${only}: leave it out, or change \`origin\``,
    )
  return app
}

/** Headers of a navigation that a page of the app begins. */
const FROM_APP = {
  'sec-fetch-site': 'same-origin',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
}

/** Signs in as a browser does. Resolves with the response that sets the session's cookies, or with an error page. */
const signIn = async (send: (request: Request) => Promise<Response>, login: string): Promise<Response> => {
  const begun = await send(new Request(login, { headers: FROM_APP }))
  const location = begun.headers.get('location')
  if (!location) return begun
  const [cookie] = cookiesOf(begun, '')
  const headers = { ...FROM_APP, cookie: `${cookie!.name}=${cookie!.value}` }
  return send(new Request(authorize(new URL(location)), { headers }))
}

const processEnv = (): unknown => (globalThis as { process?: { env: unknown } }).process?.env

const refused = (message: string): StrongroomError => new StrongroomError('config_invalid', message)
