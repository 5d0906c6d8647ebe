/**
 * Remembers the worker that the page's policy has refused. Browsers fire an event for the refusal, before the worker's
 * `error` event or after its constructor has thrown. Neither of the two has a reason.
 */
let refused: SecurityPolicyViolationEvent | undefined

const remember = (event: SecurityPolicyViolationEvent) => {
  if (event.effectiveDirective === 'worker-src') refused = event
}

/**
 * Begins to remember. Call this function before a worker is created; more calls change nothing. An extension's service
 * worker has no document with events, and creates no worker.
 */
export const watchRefusals = () =>
  globalThis.document?.addEventListener?.('securitypolicyviolation', remember)

/** Returns the browser's report of the last worker that the page's policy has refused, if there is one. */
export const lastRefusal = () => refused
