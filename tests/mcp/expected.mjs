/** The results of a scenario. `registered`: it passes only if client.mjs registers the client first. */
export const RESULTS = ['passed', 'registered', 'failed']

export const KINDS = ['vault', 'handler']

const REGISTERED = 'the suite demands a dynamic registration, which neither vault nor handler does'
const registered = { vault: 'registered', handler: 'registered', reason: REGISTERED }
const secret = { vault: 'failed', handler: 'registered', reason: 'a page cannot keep a client secret' }

/**
 * The expected results that are not `passed`, and what else must be known about a scenario. `refuses` is the error code
 * with which the app must refuse: the suite takes any failure of the app at that point for a refusal.
 */
export const KNOWN = {
  'metadata-default': registered,
  'metadata-var1': registered,
  'metadata-var2': registered,
  'metadata-var3': registered,
  'token-endpoint-auth-basic': secret,
  'token-endpoint-auth-post': secret,
  'pre-registration': { ...secret, handler: 'passed' },
  'authorization-server-migration': {
    vault: 'failed',
    handler: 'failed',
    reason: 'the issuer is configured',
  },
  'scope-step-up': { handler: 'failed', reason: 'a handler requests all scopes at each login' },
  'resource-mismatch': { reason: 'only client.mjs reads this metadata, and refuses them' },
  'iss-supported-missing': { refuses: 'callback_invalid' },
  'iss-wrong-issuer': { refuses: 'issuer_mismatch' },
  'iss-unexpected': { refuses: 'issuer_mismatch' },
  'iss-normalized': { refuses: 'issuer_mismatch' },
  'metadata-issuer-mismatch': { refuses: 'issuer_mismatch' },
}

/** Returns a sentence for each result of a row, such as `{ scenario, vault, handler }`, that is not the expected one. */
export const differences = (rows, known = KNOWN) =>
  rows.flatMap((row) =>
    KINDS.map((kind) => [kind, row[kind], known[row.scenario]?.[kind] ?? 'passed'])
      .filter(([, result, expected]) => result !== expected)
      .map(([kind, result, expected]) => `${row.scenario}, ${kind}: ${result}, not ${expected}`),
  )
