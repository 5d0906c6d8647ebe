/** The part of a provider's metadata that is pinned, and how it differs from a live document. */
import { isEndpoint } from '../../headers/checks.js'
import { REQUESTED } from '../../headers/endpoints.js'
import type { Document } from '../discovery.js'

/** Pinned members, without the day. */
export type Members = Record<string, unknown>

/** The members with which a file begins. The others follow in the order of their names. */
const FIRST = ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri']

/** The members that are neither endpoints nor among the first. The core judges their types. */
const OTHERS = [
  'require_pushed_authorization_requests',
  'authorization_response_iss_parameter_supported',
  'code_challenge_methods_supported',
]

/** The endpoints for clients with certificates (RFC 8705 section 5). */
const ALIASES = 'mtls_endpoint_aliases'

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the endpoints in an object. */
const endpointsIn = (object: Document) =>
  Object.entries(object)
    .filter(([name, value]) => name.endsWith('_endpoint') && typeof value === 'string' && value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))

/**
 * Returns the members of a document that are pinned: all endpoints, also those that no vault requests, because pages must
 * not request them either.
 */
export const pinnedMembers = (document: Document): Members => {
  const present = (name: string) => document[name] != null && document[name] !== ''
  const aliases = document[ALIASES]
  const rest = [
    ...endpointsIn(document).filter(([name]) => !FIRST.includes(name)),
    ...OTHERS.filter(present).map((name): [string, unknown] => [name, document[name]]),
    ...(isObject(aliases) ? [[ALIASES, Object.fromEntries(endpointsIn(aliases))] as [string, unknown]] : []),
  ]
  return Object.fromEntries([
    ...FIRST.filter(present).map((name) => [name, document[name]]),
    ...rest.sort(([a], [b]) => (a < b ? -1 : 1)),
  ])
}

/** A member whose values differ. */
export interface Difference {
  name: string
  pinned: unknown
  live: unknown
}

/** Returns the members by which pinned metadata differ from those of a live document. The day is not compared. */
export const differencesOf = (pinned: unknown, live: Members): Difference[] => {
  const old = isObject(pinned) ? pinned : {}
  const names = new Set([...Object.keys(live), ...Object.keys(old)])
  names.delete('at')
  return [...names]
    .map((name) => ({ name, pinned: own(old, name), live: own(live, name) }))
    .filter(({ pinned: before, live: after }) => written(before) !== written(after))
}

const own = (object: Document, name: string) => (Object.hasOwn(object, name) ? object[name] : undefined)

/** Returns a value as JSON in which the order of an object's members does not matter. */
const written = (value: unknown): string | undefined =>
  JSON.stringify(value, (_, part: unknown) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )

/** Returns the lines that describe differences. */
export const describe = (differences: Difference[]): string =>
  differences
    .map(
      ({ name, pinned, live }) =>
        `  ${name}\n    pinned  ${written(pinned) ?? '–'}\n    now     ${written(live) ?? '–'}\n`,
    )
    .join('')

/**
 * Returns the addresses that the worker's headers do not name until the app is built with other pinned metadata: those on
 * other origins, which `connect-src` blocks, and the others, which only `Connection-Allowlist` blocks.
 */
export const blockedUntilDeployed = (
  differences: Difference[],
): { origins: string[]; addresses: string[] } => {
  const moved = differences.filter(
    ({ name, live }) => (REQUESTED as readonly string[]).includes(name) && isEndpoint(live),
  )
  const originOf = (value: unknown) => (isEndpoint(value) ? new URL(value as string).origin : undefined)
  const addresses = moved.map(({ live }) => live as string)
  const origins = moved
    .filter(({ pinned, live }) => originOf(pinned) !== originOf(live))
    .map(({ live }) => originOf(live)!)
  return { origins: [...new Set(origins)], addresses }
}
