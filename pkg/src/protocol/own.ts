/**
 * Returns a copy of the own members of an object. A query parser of the app may have added members to `Object.prototype`
 * that a link names, and they must not count as options, or as members of a message.
 */
export const ownOf = <T extends object>(members: T | undefined | null): T =>
  ({ __proto__: null, ...members }) as T
