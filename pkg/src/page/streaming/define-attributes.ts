/** Adds the attributes of an interface to a lazy target. */
import type { LazyTarget } from './lazy-target.js'

type Listener = (this: EventTarget, event: Event) => unknown

/**
 * Copies the properties of `members`, including getters and setters, to `target`. Defines an event handler attribute
 * for each of `types`, such as `onopen` for `open`. The attribute's handler becomes a listener when the attribute is
 * first set, until the attribute is set to null (HTML 8.1.8.1).
 */
export const defineAttributes = (target: LazyTarget, types: string[], members: object): void => {
  for (const [name, member] of Object.entries(Object.getOwnPropertyDescriptors(members))) {
    Object.defineProperty(target, name, { ...member, configurable: true })
  }
  for (const type of types) {
    const name = `on${type}` as 'url'
    // The handler that the app may have set before this function was called.
    const early: unknown = target[name]
    let handler: Listener | null = null
    const callHandler = (event: Event) => handler?.call(target, event)
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: true,
      get: () => handler,
      set(value: unknown) {
        const next = typeof value === 'function' ? (value as Listener) : null
        if (!handler && next) target.addEventListener(type, callHandler)
        if (handler && !next) target.removeEventListener(type, callHandler)
        handler = next
      },
    })
    if (early) (target as unknown as Record<string, unknown>)[name] = early
  }
}

/** Creates an `error` event with the cause, which a plain `EventSource` or `WebSocket` does not reveal. */
export const errorEvent = (error?: unknown): ErrorEvent =>
  new ErrorEvent('error', { error, message: error instanceof Error ? error.message : '' })
