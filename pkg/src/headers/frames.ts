/** Frames in the pages of an app that has a callback page. */
import { invalid } from './checks.js'

/** For each kind of element that can show a page, the directives that may decide. The first one that a policy has counts. */
const ELEMENTS = [
  ['frame-src', 'child-src', 'default-src'],
  ['object-src', 'default-src'],
]

/**
 * Throws if the policy lets a page show a document of these origins: the app's own, and the provider's.
 *
 * - In a frame of the provider, script can begin a login, whose response the frame then shows. The response's own headers
 *   are not enough: Chromium reports the address of a redirect that another policy of the page blocks, and a server's
 *   error page may lack the headers.
 * - In a frame of the app's own origin, script gets a document without a policy if the server's error page has none.
 */
export const checkFrames = (policy: Record<string, string[]>, origins: string[]): void => {
  const hosts = origins.map((origin) => new URL(origin).hostname)
  for (const names of ELEMENTS) {
    const name = names.find((one) => Object.hasOwn(policy, one))!
    const source = policy[name]!.find((one) => hosts.some((host) => covers(one, host)))
    if (source !== undefined) {
      throw invalid(
        `the page's \`${name}\` has the source ${source}, and with \`callbackPage\` or \`fallback\` a frame must show neither the app's own origin nor the provider's: remove it, or set \`page['${names[0]}']\` to other origins or ["'none'"]`,
      )
    }
  }
}

/**
 * Returns true if a source may admit a host. Scheme, port and path do not matter: redirects ignore a path, and in WebKit
 * a source for sockets also admits pages.
 */
const covers = (source: string, host: string): boolean => {
  const lower = source.toLowerCase()
  if (lower === "'self'") return true
  const named = lower.replace(/^(https?|wss?):(\/\/|$)/, '')
  const [pattern = ''] = named.split(/[:/]/)
  if (pattern.startsWith('*.')) return host.endsWith(pattern.slice(1))
  // `https:` names no host.
  return named === '' || pattern === '*' || pattern === host
}
