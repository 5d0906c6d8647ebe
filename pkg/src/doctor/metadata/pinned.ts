/** The part of a provider's metadata that is pinned, and how it differs from a live document. */
import { isEndpoint } from '../../headers/checks.js'
import { FLAGS, REQUESTED, REQUIRED } from '../../generated/metadata.js'
import type { Document } from '../discovery.js'

/** Pinned members, without the day. */
export type Members = Record<string, unknown>

/** The members that are neither endpoints nor among the first. The core judges their types. */
const OTHERS = [...FLAGS, 'code_challenge_methods_supported']

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The depth to which the core reads JSON (`MAX_DEPTH` in src/rules/codec/json.rs). */
const MAX_DEPTH = 32

const byName = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1)

/** Returns the endpoints in an object and in objects below it, such as `mtls_endpoint_aliases` (RFC 8705 section 5). */
const endpointsIn = (object: Document, depth = 0): [string, unknown][] =>
  Object.entries(object)
    .flatMap(([name, value]): [string, unknown][] => {
      if (typeof value === 'string') return name.endsWith('_endpoint') ? [[name, value]] : []
      // In a module, this name would set the prototype.
      if (!isObject(value) || depth > MAX_DEPTH || name === '__proto__') return []
      const below = endpointsIn(value, depth + 1)
      return below.length ? [[name, Object.fromEntries(below)]] : []
    })
    .sort(byName)

/**
 * Returns the members of a document that are pinned: all endpoints as they are, also those that no vault requests, because
 * pages must not request them either.
 */
export const pinnedMembers = (document: Document): Members => {
  const present = (name: string) => document[name] != null
  const others = OTHERS.filter(present).map((name): [string, unknown] => [name, document[name]])
  const rest = endpointsIn(document).filter(([name]) => !(REQUIRED as readonly string[]).includes(name))
  return Object.fromEntries([
    ...REQUIRED.filter(present).map((name) => [name, document[name]]),
    ...[...rest, ...others].sort(byName),
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
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(byName)) : part,
  )

/** Returns the lines that describe differences. */
export const describe = (differences: Difference[]): string =>
  differences
    .map(
      ({ name, pinned, live }) =>
        `  ${name}\n    pinned  ${written(pinned) ?? '–'}\n    now     ${written(live) ?? '–'}\n`,
    )
    .join('')

/** Returns the origins of new endpoints that the worker's headers do not name until the app is built with a new pin. */
export const blockedUntilDeployed = (differences: Difference[]): string[] => {
  const moved = differences.filter(
    ({ name, live }) => (REQUESTED as readonly string[]).includes(name) && isEndpoint(live),
  )
  const originOf = (value: unknown) => (isEndpoint(value) ? new URL(value as string).origin : undefined)
  const origins = moved
    .filter(({ pinned, live }) => originOf(pinned) !== originOf(live))
    .map(({ live }) => originOf(live)!)
  return [...new Set(origins)]
}
