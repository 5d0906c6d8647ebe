/**
 * Remembers the workers that the page's policy has refused. Browsers fire an event for each, before the worker's `error`
 * event or after its constructor has thrown. Neither of the two has a reason.
 */
export type Refusals = ReadonlyMap<string, SecurityPolicyViolationEvent>

/** The maximum number of refusals that are remembered. */
const MAX_REFUSALS = 20

/** The refusals by the address of the worker. For `blob:` and `data:` URLs, this is the scheme alone. */
export const refusals = new Map<string, SecurityPolicyViolationEvent>()

const remember = (event: SecurityPolicyViolationEvent) => {
  // Script can fire such an event itself, and a policy that only reports refuses nothing.
  const isRefusal = event.isTrusted && event.disposition === 'enforce'
  if (isRefusal && event.effectiveDirective === 'worker-src' && refusals.size < MAX_REFUSALS)
    refusals.set(event.blockedURI, event)
}

/**
 * Begins to remember. Call this function before a worker is created; more calls change nothing. An extension's service
 * worker has no document with events, and creates no worker.
 */
export const watchRefusals = () =>
  globalThis.document?.addEventListener?.('securitypolicyviolation', remember)
