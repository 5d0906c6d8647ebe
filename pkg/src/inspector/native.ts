/**
 * Getters of the platform, which are called directly: a property of the page's objects may be a getter of the app, and
 * an input element named `attributes` hides that property of its form.
 */

/**
 * Returns true if a function is the platform's getter of this property. A bound function of the app has native code, too,
 * but not the property's name.
 */
export function isNative(get: (() => unknown) | undefined, property: string): boolean {
  const source = get ? Function.prototype.toString.call(get) : ''
  const isNamed = source.replace(/^function (get )?/, '').startsWith(`${property}(`)
  return isNamed && source.includes('[native code]')
}

/** Returns a function that reads a property of an interface, such as `Element` and `shadowRoot`. */
export function reader<T>(type: string, property: string): (object: object) => T | undefined {
  let get: (() => T) | undefined
  return (object) => {
    get ??= find<T>(type, property)
    return get?.call(object)
  }
}

function find<T>(type: string, property: string): (() => T) | undefined {
  const { prototype } = (globalThis as unknown as Record<string, { prototype?: object }>)[type] ?? {}
  const get = prototype && Reflect.getOwnPropertyDescriptor(prototype, property)?.get
  return isNative(get, property) ? (get as () => T) : undefined
}
