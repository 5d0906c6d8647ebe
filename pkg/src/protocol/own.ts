/**
 * Returns a copy of the own members of an object. A query parser of the app may have let a link add members to
 * `Object.prototype`, which must not count as options, or as members of a message.
 */
export const ownOf = <T extends object>(members: T | undefined | null): T =>
  ({ __proto__: null, ...members }) as T
