/** The Content-Security-Policies of a response: what they permit, and how a report corrects them. */
import { decidingFor, parsePolicy, type Policy } from '../protocol/content-policy.js'
import type { SharedFix } from './report.js'

export type { Policy }

/** Reads the policies of a header: a response may have several, which are joined with commas. */
export const parsePolicies = (header: string | undefined): Policy[] =>
  (header ?? '')
    .split(',')
    .map(parsePolicy)
    .filter(({ size }) => size > 0)

/** Reads the policies in a page's `<meta>` elements, in which `frame-ancestors` and reporting have no effect. */
export const metaPolicies = (html: string): Policy[] =>
  [...html.matchAll(/<meta\b[^<>]*>/gi)].flatMap(([tag]) => {
    if (!/http-equiv=["']?content-security-policy["']?/i.test(tag)) return []
    const [, , content] = /\bcontent=(["'])([^]*?)\1/i.exec(tag) ?? []
    const policies = parsePolicies(content?.replaceAll('&#39;', "'").replaceAll('&amp;', '&'))
    for (const policy of policies) policy.delete('frame-ancestors')
    return policies
  })

/** Stands for a nonce, which differs in each response. */
export const NONCE = "'nonce-…'"

/** Returns the header with a policy as a report proposes it. */
export const proposed = (policy: Policy, note = ''): string => {
  const directives = [...policy.keys()].map((name) => lineOf(policy, name)).join('; ')
  const header = `Content-Security-Policy: ${directives.replace(/'nonce-[^']*'/gi, NONCE)}${note}`
  return header.includes(NONCE)
    ? `${header} (nonce-…: a new one for each response, which its inline scripts have as an attribute. A static page needs the hashes of these scripts instead)`
    : header
}

/** Corrects a policy: each fault replaces a directive, and all of them are fixed by one line. */
export class Correction {
  readonly #directives: Policy

  readonly #note: string

  constructor([policy, ...others]: Policy[]) {
    this.#directives = new Map(policy)
    this.#note = others.length
      ? ` (as the only policy: the page has ${others.length + 1}, in headers or in <meta>, and browsers enforce all of them)`
      : ''
  }

  /** Returns the fix that sets a directive, such as `worker-src https://app.example.com/auth.worker.js`. */
  set(directive: string): SharedFix {
    return {
      note: () => {
        const [name = '', ...sources] = directive.split(' ')
        this.#directives.set(name, sources)
        // It would decide in place of the one that is set.
        if (name === 'script-src') this.#directives.delete('script-src-elem')
        return () => proposed(this.#directives, this.#note)
      },
    }
  }
}

/** Returns a directive of a policy as it is written, such as `worker-src https://app.example.com/auth.worker.js`. */
export const lineOf = (policy: Policy, name: string): string =>
  [name, ...(policy.get(name) ?? ["'none'"])].join(' ')

/** Returns the sources that count for a directive, or `undefined` if the policy does not restrict it. */
export const sourcesOf = (policy: Policy, name: string): string[] | undefined => {
  const found = decidingFor(policy, name)
  return found === undefined ? undefined : policy.get(found)
}

/** Returns true if every policy permits what `test` looks for. A policy without the directive permits everything. */
export const permits = (policies: Policy[], name: string, test: (sources: string[]) => boolean): boolean =>
  policies.every((policy) => {
    const sources = sourcesOf(policy, name)
    return sources === undefined || test(sources)
  })

/** Returns true if every policy permits one of the sources that `test` looks for. */
export const permitsSome = (policies: Policy[], name: string, test: (source: string) => boolean): boolean =>
  permits(policies, name, (sources) => sources.some(test))

/**
 * Returns true if a policy lets every script become a worker: `'strict-dynamic'` counts where `script-src` or `default-src`
 * decides about workers. Then no other source counts, and even a `blob:` URL may become one (measured in three engines).
 */
export const isDynamic = (policy: Policy): boolean =>
  !policy.has('worker-src') &&
  !policy.has('child-src') &&
  sourcesOf(policy, 'script-src')?.includes("'strict-dynamic'") === true

/** Returns true if every policy permits workers from the sources that `test` looks for. */
export const permitsWorkers = (policies: Policy[], test: (sources: string[]) => boolean): boolean =>
  policies.every((policy) => isDynamic(policy) || permits([policy], 'worker-src', test))

/** Returns a directive as it is written in the policies, for a report. */
export const written = (policies: Policy[], name: string): string => {
  const lines = policies.flatMap((policy) => {
    const found = decidingFor(policy, name)
    return found === undefined ? [] : [lineOf(policy, found)]
  })
  // Browsers enforce all policies, so any of them may be the one that forbids something.
  if (lines.length) return [...new Set(lines)].join(', and in another policy: ')
  return policies.length ? `no ${name}` : 'no policy'
}

/** Returns true if a source names no host: then any server will do. */
export const isAnywhere = (source: string): boolean =>
  source === '*' ||
  /^(https?|wss?):$/i.test(source) ||
  /^(https?:\/\/|wss?:\/\/)?\*(:\*)?(\/|$)/i.test(source)

/** Returns true for a source from which script in a page can load code of its own. */
const isForeignCode = (source: string) => /^(data|blob):$/.test(source) || isAnywhere(source)

/**
 * Returns the directive that permits code other than the app's files: strings, or files from elsewhere. Inline scripts
 * (`'unsafe-inline'`) do not count, because some frameworks need them.
 */
export const opensCode = (
  policies: Policy[],
  isForeign = isForeignCode,
): 'script-src' | 'script-src-elem' | undefined => {
  if (permitsSome(policies, 'script-src', (source) => source === "'unsafe-eval'")) return 'script-src'
  return permitsSome(policies, 'script-src-elem', isForeign) ? 'script-src-elem' : undefined
}

/** Returns true if one of the sources admits every file of the origin. */
export const admitsAll = (sources: string[], origin: string): boolean =>
  sources.some((one) => one === "'self'" || one === origin || one === `${origin}/` || isAnywhere(one))

/** Returns true if one of the sources admits the URL. `origin` is that of the document, for `'self'`. */
export const admits = (sources: string[], address: string, origin: string): boolean => {
  const url = new URL(address)
  return sources.some((source) => {
    if (source.toLowerCase() === "'self'") return url.origin === origin
    if (source === '*') return /^(https?|wss?):$/.test(url.protocol)
    if (/^[a-z][a-z\d+.-]*:$/i.test(source)) return url.protocol === source.toLowerCase()
    const parts = /^(?:([a-z][a-z\d+.-]*):\/\/)?(\*|(?:\*\.)?[^/:*]+)(?::(\d+|\*))?(\/[^?#]*)?$/i.exec(source)
    if (!parts) return false
    const [, scheme = new URL(origin).protocol.slice(0, -1), host = '', port, path] = parts
    return (
      matchesScheme(scheme.toLowerCase(), url.protocol.slice(0, -1)) &&
      matchesHost(host.toLowerCase(), url.hostname) &&
      (port === '*' || (port ?? defaultPort(url.protocol)) === (url.port || defaultPort(url.protocol))) &&
      matchesPath(path ?? '', url.pathname)
    )
  })
}

const matchesScheme = (named: string, actual: string) =>
  named === actual || `${named}s` === actual || (named === 'http' && actual === 'wss')

const matchesHost = (named: string, actual: string) =>
  named === '*' || named === actual || (named.startsWith('*.') && actual.endsWith(named.slice(1)))

const matchesPath = (named: string, actual: string) =>
  named === '' || named === '/' || (named.endsWith('/') ? actual.startsWith(named) : actual === named)

const defaultPort = (protocol: string) => (/s:$/.test(protocol) ? '443' : '80')
