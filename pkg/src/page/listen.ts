/** Adds a listener to `target`. Returns a function that removes the listener. */
export const listen = <E extends Event>(
  target: EventTarget,
  type: string,
  listener: (event: E) => void,
  options?: AddEventListenerOptions,
): (() => void) => {
  const handler = listener as (event: Event) => void
  target.addEventListener(type, handler, options)
  return () => target.removeEventListener(type, handler, options)
}
