import { A_FUNCTION, NOT_PLAIN } from './message-keys.js'

/** The end of the sentence about a value that JSON would not keep. */
export const WHY_NOT_PLAIN =
  ' must be a string, a number, a boolean, an array or an object literal: what an object inherits from its class, and members that are symbols or not enumerable, would be lost'

/** Throws the error about a value that cannot be in a configuration. */
type Refuse = (path: string, value: unknown) => never

/**
 * Returns a copy of a value of a configuration: plain objects, arrays, strings, numbers and booleans. JSON would silently
 * leave out anything else, such as the `allow` of a guard if it is inherited from a class.
 *
 * @param call Returns the value that replaces a function.
 * @param path The name of the option with this value.
 */
export const plainCopy = (
  value: unknown,
  refuse: Refuse,
  call: (path: string, value: Function) => unknown = refuse,
  path = '',
): unknown => {
  const copy = (one: unknown, path: string) => plainCopy(one, refuse, call, path)
  if (typeof value === 'function') return plainCopy(call(path, value), refuse, refuse, path)
  if (Array.isArray(value)) return value.map((one, i) => copy(one, `${path}[${i}]`))
  if (isPlain(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, copy(one, path ? `${path}.${name}` : name)]),
    )
  return value == null || ['string', 'number', 'boolean'].includes(typeof value)
    ? value
    : refuse(path || 'config', value)
}

/**
 * Returns true for an object whose members are all in its JSON. Objects of another realm have a prototype of their own, as in
 * Jest and in sandboxes of platforms.
 *
 * @param known A symbol that may be the key of a member although JSON leaves this member out.
 */
export const isPlain = (value: unknown, known?: symbol): value is object => {
  if (typeof value !== 'object' || !value) return false
  const { getPrototypeOf, prototype } = Object
  const own = getPrototypeOf(value)
  const isOfNoClass = !own || (!getPrototypeOf(own) && prototype.hasOwnProperty.call(own, 'hasOwnProperty'))
  const isInJson = (name: PropertyKey) =>
    name === known || (typeof name === 'string' && prototype.propertyIsEnumerable.call(value, name))
  return isOfNoClass && Reflect.ownKeys(value).every(isInJson)
}

/**
 * Returns the JSON of a vault's configuration.
 *
 * @throws An object with an error's code, and with the key of its message.
 */
export const vaultJson = (config: unknown): string => {
  const refuse = (path: string, value: unknown): never => {
    const why = typeof value === 'function' ? A_FUNCTION : NOT_PLAIN
    throw { code: 'config_invalid', message: `\`${path}\`${why}` }
  }
  return JSON.stringify(plainCopy(config, refuse)) ?? 'null'
}
