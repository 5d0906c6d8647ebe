/**
 * `AbortSignal.timeout` and `AbortSignal.any`, also for engines that lack them (docs/browsers.md). The platform's own
 * functions come first, because `anySignal` without them keeps a call's signal in memory until the longest signal ends.
 */

/** Returns a signal that aborts after these milliseconds. */
export const timeoutSignal = (milliseconds: number): AbortSignal => {
  if ('timeout' in AbortSignal) return AbortSignal.timeout(milliseconds)
  const controller = new AbortController()
  const end = () => controller.abort(new DOMException('signal timed out', 'TimeoutError'))
  setTimeout(end, milliseconds)
  return controller.signal
}

/** Returns a signal that aborts when one of these signals does. */
export const anySignal = (...signals: AbortSignal[]): AbortSignal => {
  if ('any' in AbortSignal) return AbortSignal.any(signals)
  const controller = new AbortController()
  for (const signal of signals) {
    const abort = () => controller.abort(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { signal: controller.signal })
  }
  return controller.signal
}
