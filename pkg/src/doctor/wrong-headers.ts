/** Generated headers, compared with those of a response. */
import { policiesOf } from './deployment.js'
import { opensCode, parsePolicies, permitsSome } from './policy.js'
import { listOf, type Reply, valueOf } from './requests.js'

/** Returns the names of generated headers of a page that the response lacks, or that permit more. */
export const wrongHeaders = (reply: Reply, wanted: Record<string, string>): string[] =>
  Object.keys(wanted).filter((name) => {
    // The first depends on the option `module`, and the second is for two browsers only.
    if (name === 'Link' || name === 'Connection-Allowlist') return false
    // The header may have more directives than the one that is needed.
    if (name === 'Cache-Control') return !listOf(reply, name).includes(wanted[name]!)
    if (name !== 'Content-Security-Policy') return valueOf(reply, name) !== wanted[name]
    const policies = policiesOf(reply)
    const ancestors = parsePolicies(wanted[name])[0]!.get('frame-ancestors')!
    const isFramed = permitsSome(
      policies,
      'frame-ancestors',
      (source) => source !== "'none'" && !ancestors.includes(source),
    )
    return isFramed || opensCode(policies) !== undefined
  })
