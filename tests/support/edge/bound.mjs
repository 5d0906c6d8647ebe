import { once } from 'node:events'
import { booted } from '../app.mjs'
import { startPage } from './page.mjs'
import { startTls } from './tls.mjs'

/** The name of the bound cookie. */
export const BOUND = '__Host-strongroom-bound'

/** Milliseconds after which a bound cookie is no longer valid. */
export const LIFE = 661_000

/** The path of the renewal. */
export const RENEWAL = '/auth/bind/refresh'

/** Features of Chromium: bound sessions, with keys in software, since the machine of a test may have no security chip. */
const FEATURES = ['PersistDeviceBoundSessions', 'EnableBoundSessionCredentialsSoftwareKeysForManualTesting']

/**
 * Starts a page over a token handler that binds sessions, and a Chromium that supports it.
 *
 * @param {Parameters<typeof startPage>[0]} platform
 * @param {Parameters<typeof startPage>[1] & { session?: object, hasQuota?: boolean }} [options] `session` is the handler's option. `hasQuota`:
 *   true if the browser limits how often it signs, as usual.
 */
export async function startBound(platform, { session, handler, hasQuota = false, ...options } = {}) {
  // Chromium binds no session if it ignores errors of certificates, but does if it trusts the certificate's key.
  const tls = await startTls()
  const features = [hasQuota ? 'DeviceBoundSessions' : 'DeviceBoundSessions:RefreshQuota/false', ...FEATURES]
  const launch = { args: [...trusting(tls), `--enable-features=${features}`] }
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

/** Returns arguments for a Chromium that trusts the certificate of a proxy, and finds names below `.test` on loopback. */
export const trusting = ({ spki }) => [
  `--ignore-certificate-errors-spki-list=${spki}`,
  '--host-resolver-rules=MAP *.test 127.0.0.1',
]

/** Returns the bound cookie that a request has, or that a response sets. */
export const boundOf = (text) => new RegExp(`${BOUND}=([^;]+)`).exec(text)?.[1]

/** Waits for the bound cookie, and resolves with it. */
export async function boundCookie(page) {
  for (;;) {
    const cookies = await page.context().cookies()
    const found = cookies.find(({ name }) => name === BOUND)
    if (found) return found
    await page.waitForEvent('response', { timeout: 1000 }).catch(() => {})
  }
}
