import { once } from 'node:events'
import { booted } from '../app.mjs'
import { startPage } from './page.mjs'
import { startTls } from './tls.mjs'

/** The name of the bound cookie. */
export const BOUND = '__Host-strongroom-bound'

/** Milliseconds after which a bound cookie is no longer valid. */
export const LIFE = 661_000

/** Milliseconds after which requests without the bound cookie no longer count as in flight. */
export const IN_FLIGHT = 11_000

/** The path of the renewal. */
export const RENEWAL = '/auth/bind/refresh'

/** Features of Chromium: keys in software, since the machine of a test may have no security chip. */
const FEATURES = ['PersistDeviceBoundSessions', 'EnableBoundSessionCredentialsSoftwareKeysForManualTesting']

/** Arguments for a Chromium that trusts the certificate of `startTls()`, and finds names below `.test` on loopback. */
export const trustingArgs = (spki) => [
  `--ignore-certificate-errors-spki-list=${spki}`,
  '--host-resolver-rules=MAP *.test 127.0.0.1',
]

/**
 * Arguments for a Chromium that binds sessions, and that trusts the certificate of `startTls()`. It would bind no session
 * if it ignored all errors of certificates.
 *
 * @param {string} spki The hash of the certificate's public key.
 * @param {{ hasQuota?: boolean }} [options] `hasQuota`: true if the browser limits how often it signs, as usual.
 */
export const bindingArgs = (spki, { hasQuota = false } = {}) => {
  const binding = hasQuota ? 'DeviceBoundSessions' : 'DeviceBoundSessions:RefreshQuota/false'
  return [...trustingArgs(spki), `--enable-features=${[binding, ...FEATURES]}`]
}

/**
 * Starts a page over a token handler that binds sessions, and a Chromium that supports it.
 *
 * @param {Parameters<typeof startPage>[0]} platform
 * @param {Parameters<typeof startPage>[1] & { session?: object, hasQuota?: boolean }} [options] `session` is the
 *   handler's option, and `hasQuota` is that of `bindingArgs()`.
 */
export async function startBound(platform, { session, handler, hasQuota, ...options } = {}) {
  const tls = await startTls()
  const launch = { whole: true, args: bindingArgs(tls.spki, { hasQuota }) }
  const app = await startPage(platform, {
    ...options,
    secure: tls,
    launch,
    handler: { session: { bind: 'if-supported', ...session }, ...handler },
  })
  const { seen, failing, changes, holds, arrivals } = tls
  const requestsTo = (path) => seen.filter((request) => request.path === path)
  return {
    ...app,
    requestsTo,
    failing,
    changes,
    arrivals,
    tls,
    /** Options for a browser of its own. */
    launch,
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
    /** Returns the renewals that were successful. */
    renewals: () => requestsTo(RENEWAL).filter(({ status }) => status === 200),
    /** Holds back a request to `path`, which `begin` causes, from its arrival until `meanwhile` has settled. */
    async hold(path, begin, meanwhile = () => {}) {
      let release
      holds.set(path, new Promise((resolve) => (release = resolve)))
      const arrival = once(arrivals, path)
      try {
        await begin()
        await arrival
        await meanwhile()
      } finally {
        holds.clear()
        release()
      }
    },
    /** Resolves with a request to this path and its response, which is at this place in the order of responses. */
    async response(path, place) {
      while (requestsTo(path).length <= place) await once(arrivals, 'response')
      return requestsTo(path)[place]
    },
  }
}

/** Returns the bound cookie that a request has, or that a response sets. */
export const boundOf = (text) => new RegExp(`${BOUND}=([^;]+)`).exec(text)?.[1]

/** Waits for the bound cookie, and resolves with it. */
export async function boundCookie(page) {
  for (;;) {
    const cookies = await page.context().cookies()
    const found = cookies.find(({ name }) => name === BOUND)
    if (found) return found
    // The browser's own requests are no events of the page.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
