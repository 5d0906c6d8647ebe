/**
 * Returns a copy of the own members of an object. A query parser of the app may have let a link add members to
 * `Object.prototype`, which must not count as options, or as members of a message.
 */
export const ownOf = <T extends object>(members: T | undefined | null): T =>
  ({ __proto__: null, ...members }) as T

/** Returns true if the object has this method. What a link can add to `Object.prototype` is not a function. */
export const hasMethod = <T extends object, K extends PropertyKey>(
  object: T,
  name: K,
): object is Extract<T, Record<K, (...args: never) => unknown>> =>
  typeof (object as Partial<Record<K, unknown>>)[name] === 'function'

/** Returns the port of a shared worker. A dedicated worker has none of its own. */
export const portOf = (worker: object): MessagePort | undefined => {
  const { port } = worker as Partial<SharedWorker>
  return port && hasMethod(port, 'postMessage') ? port : undefined
}
