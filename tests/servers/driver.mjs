/**
 * Runs the life of a session with a real authorization server: the vault in Chromium, or the token handler on Node with
 * the same page.
 *
 * To add a server, write a file that exports a `Server`, and add the server to list.mjs:
 *
 * 1. `start` starts the server for the clients in `Setup`, with their identifiers, secrets and addresses, and throws
 *    `Missing` (install.mjs) if a tool is not on this machine.
 * 2. `signIn` fills in the server's pages. It must also work if the server still knows the user.
 * 3. `features` names what the server can do. A step that needs another feature does not apply, and its cell is a dash.
 * 4. `expected` has what each step finds, as in the table. Run `node tests/servers/run.mjs NAME`: each difference is an
 *    error that names the finding. Copy a finding only after you have understood it.
 *
 * The steps are in steps/; list.mjs there has their order.
 */
import { openApp, startLife } from './life.mjs'
import { STEPS } from './steps/list.mjs'

export { STEPS }

/**
 * A real server.
 *
 * @typedef {object} Server
 * @property {string} name The name of its package or product.
 * @property {(setup: Setup) => Promise<Running>} start
 * @property {(page: import('playwright-core').Page) => Promise<void>} signIn Fills in the server's pages.
 * @property {(place: { issuer: string, app: string, kind: 'vault' | 'handler' }) => object} config Options that vault and handler have in common.
 * @property {string} api The path of an API of the server that needs the access token.
 * @property {(client: { redirectUri: string }) => string} [clientId] The identifier of a client. Default: a short name.
 * @property {string} [host] The public host. Default `127.0.0.1`; the app then is at `localhost`.
 * @property {Features} [features]
 * @property {Record<string, Finding | { vault?: Finding, handler?: Finding }>} expected What each step finds, if this
 *   is not an empty string.
 */

/** @typedef {string | RegExp} Finding */

/**
 * What a server can do besides sign-in, refresh and calls. A function acts as the user on the server's pages.
 *
 * @typedef {object} Features
 * @property {ClientAuth[]} [clientAuth] The authentication methods of a token handler. Each has a client of its own, and
 *   all steps use the first. Default: only `client_secret_basic`.
 * @property {'token-endpoint'} [audience] With `private_key_jwt`: the audience of assertions, if it is not the issuer.
 * @property {boolean | 'with a secret'} [revocation] A revocation endpoint (RFC 7009), for all clients or only for
 *   those with a secret. Default true.
 * @property {boolean} [pushed] Pushed authorization requests (RFC 9126) of these clients.
 * @property {boolean} [dpop] Tokens that are bound to a key (RFC 9449). `api` must accept them as well.
 * @property {boolean} [exactTime] True if the server accepts proofs and assertions only for some seconds. With them, the
 *   driver waits for the time that it otherwise lets pass on the handler's clock.
 * @property {boolean} [maxAge] The parameter `max_age`, and `auth_time` in ID tokens.
 * @property {(page: Page) => Promise<void>} [providerLogout] RP-initiated logout. Confirms the logout, if the server
 *   asks.
 * @property {(page: Page, code: { userCode: string, verificationUri: string }) => Promise<void>} [device] The device
 *   flow (RFC 8628). Enters the code and signs in, on a page that is at `verificationUri`.
 * @property {object} [deviceConfig] Options of the vault for the device flow, such as the identifier of another client.
 * @property {(page: Page, place: { issuer: string }) => Promise<void>} [backChannelLogout] Back-channel logout. Ends
 *   the user's session at the server, on another page of the browser in which the user signed in.
 * @property {{ url: string, sub: string, claims: string[] }} [profile] An address with the user's profile, as in the
 *   option `identity`: its path, and the names of its members.
 */

/** @typedef {'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'} ClientAuth */
/** @typedef {import('playwright-core').Page} Page */

/**
 * A server that has started.
 *
 * @typedef {object} Running
 * @property {string} origin Its own origin, which is behind the public one.
 * @property {string} version
 * @property {string} [api] The origin of the API, if another server has the API.
 * @property {{ id: string, secret?: string }[]} [clients] The clients in the order of `Setup`, if the server has chosen
 *   their identifiers and secrets.
 * @property {() => Promise<void>} stop
 */

/**
 * What a server must know.
 *
 * @typedef {object} Setup
 * @property {string} origin The server's public origin.
 * @property {string[]} apps The origins of the apps, for CORS.
 * @property {Client[]} clients
 * @property {{ username: string, password: string }} user
 */

/**
 * A client to register, which uses the code flow with PKCE and refresh tokens.
 *
 * @typedef {object} Client
 * @property {string} id
 * @property {ClientAuth} auth
 * @property {string} [secret] With `client_secret_basic` and `client_secret_post`.
 * @property {JsonWebKey} [publicKey] With `private_key_jwt`: the key of its assertions (ES256).
 * @property {string} redirectUri
 * @property {string} postLogoutRedirectUri
 * @property {string} [backChannelLogoutUri] Only of token handlers.
 */

/** The two ways to use strongroom. */
export const KINDS = /** @type {const} */ (['vault', 'handler'])

/** The cell of a step that does not apply. */
export const NOT_APPLICABLE = '–'

/**
 * Starts a server, and takes all steps that apply. Resolves with the version of the server and with the table's cells,
 * and with the error of the step that failed.
 *
 * @param {Server} server
 * @param {'vault' | 'handler'} kind
 * @param {import('playwright-core').Browser} browser
 * @param {{ steps?: typeof STEPS }} [options]
 * @returns {Promise<{ version?: string, cells: string[], error?: Error }>}
 */
export async function runServer(server, kind, browser, { steps = STEPS } = {}) {
  const ends = []
  const cells = []
  let version
  try {
    const atEnd = (stop) => ends.push(stop)
    const place = await startLife(server, kind, browser, atEnd)
    version = place.version
    const life = await openApp(place)
    const errors = []
    for (const { name, only = kind, applies, run } of steps) {
      if (only !== kind || (applies && !applies(life))) {
        cells.push(NOT_APPLICABLE)
        continue
      }
      let found
      try {
        found = (await run(life)) ?? ''
      } catch (error) {
        error.message = [...errors, `step "${name}": ${error.message}`].join('\n')
        return { version, cells, error }
      }
      const unexpected = difference(server, kind, name, found)
      if (unexpected) errors.push(unexpected)
      cells.push(found || '✓')
    }
    if (errors.length) return { version, cells, error: new Error(errors.join('\n')) }
    return { version, cells }
  } finally {
    while (ends.length) await end(ends.pop())
  }
}

/** Ends something. A failure must not keep the rest from ending. */
async function end(stop) {
  try {
    await stop()
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
}

/** Returns a sentence if a step did not find what is expected. */
function difference(server, kind, name, found) {
  const entry = server.expected[name] ?? ''
  const isOfKinds = typeof entry === 'object' && !(entry instanceof RegExp)
  const expected = isOfKinds ? (entry[kind] ?? '') : entry
  const isExpected = expected instanceof RegExp ? expected.test(found) : found === expected
  return isExpected ? undefined : `step "${name}" found '${found}' instead of '${expected}'`
}
