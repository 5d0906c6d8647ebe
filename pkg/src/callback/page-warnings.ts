/** Warnings for the developer about the callback page: a service worker that sees its URL, and missing headers. */
import { isLoopback } from '../protocol/loopback.js'

/** The headers without which script can read the response of a login that it has begun itself. */
const HEADERS: Record<string, RegExp> = {
  'Content-Security-Policy': /frame-ancestors 'none'/,
  'Cross-Origin-Opener-Policy': /^same-origin$/,
  'Referrer-Policy': /no-referrer$/,
  'Cache-Control': /no-store/,
}

/** Prints what is wrong with the page. Never fails. */
export const warnAboutPage = (): void => {
  if (navigator.serviceWorker?.controller) {
    console.warn(
      'strongroom: a service worker controls the callback page. Its fetch listener must leave this page alone: a cached response would keep the code. See docs/pwa.md',
    )
  }
  if (isLoopback(location.hostname)) void checkHeaders()
}

const checkHeaders = async () => {
  try {
    const { headers } = await fetch(location.pathname, { method: 'HEAD', cache: 'no-store' })
    const missing = Object.keys(HEADERS).filter((name) => !HEADERS[name]!.test(headers.get(name) ?? ''))
    if (missing.length) {
      console.warn(
        `strongroom: the callback page lacks ${missing.join(', ')}, so script on the app's pages can read the response of a login that it begins itself. See docs/callback-page.md`,
      )
    }
  } catch {
    // The page's policy forbids the request, or the server cannot be reached.
  }
}
