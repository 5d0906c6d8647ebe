import { booted } from '../app.mjs'
import { startPage } from './page.mjs'
import { startTls } from './tls.mjs'

/** The name of the bound cookie. */
export const BOUND = '__Host-strongroom-bound'

/**
 * Features of Chromium: bound sessions without a limit of signings, with keys in software, since the machine of a test may
 * have no security chip.
 */
const FEATURES = [
  'DeviceBoundSessions:RefreshQuota/false',
  'PersistDeviceBoundSessions',
  'EnableBoundSessionCredentialsSoftwareKeysForManualTesting',
]

/**
 * Arguments for a Chromium that binds sessions, and that trusts the certificate of `startTls()`. It would bind no session
 * if it ignored all errors of certificates.
 *
 * @param {string} spki The hash of the certificate's public key.
 */
export const bindingArgs = (spki) => [
  `--ignore-certificate-errors-spki-list=${spki}`,
  `--enable-features=${FEATURES}`,
]

/**
 * Starts a page over a token handler that binds sessions, and a Chromium that supports it.
 *
 * @param {Parameters<typeof startPage>[0]} platform
 * @param {Parameters<typeof startPage>[1] & { session?: object }} [options] `session` is the handler's option. The browser
 *   signs without a limit.
 */
export async function startBound(platform, { session, handler, ...options } = {}) {
  const tls = await startTls()
  const app = await startPage(platform, {
    secure: tls,
    launch: { args: bindingArgs(tls.spki) },
    handler: { session: { bind: 'if-supported', ...session }, ...handler },
    ...options,
  })
  const requestsTo = (path) => tls.seen.filter((request) => request.path === path)
  return {
    ...app,
    requestsTo,
    spki: tls.spki,
    failing: tls.failing,
    holds: tls.holds,
    /** Resolves with the status of a call of the page. */
    call: (page) =>
      page.evaluate((url) => settle(auth.fetch(url).then((it) => it.status)), `${app.api.url}orders`),
    /** Signs in, and waits until the browser has bound the session. */
    async signInBound(page) {
      await app.signIn(page)
      await boundCookie(page)
      return booted(page)
    },
    /** Lets the bound cookie end in the browser, as after its life. */
    expire: (page) => page.context().clearCookies({ name: BOUND }),
  }
}

/** Waits for the bound cookie, and resolves with it. */
export async function boundCookie(page) {
  for (;;) {
    const cookies = await page.context().cookies()
    const found = cookies.find(({ name }) => name === BOUND)
    if (found) return found
    await page.waitForEvent('response', { timeout: 1000 }).catch(() => {})
  }
}
