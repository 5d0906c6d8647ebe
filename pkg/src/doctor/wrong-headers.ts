/** The comparison of a response's headers with the generated ones. */
import { policiesOf } from './deployment.js'
import { opensCode, parsePolicies, permitsSome } from './policy.js'
import { listOf, type Reply, valueOf } from './requests.js'

/** Returns the names of generated headers that the response lacks, or that permit more in the response. */
export const wrongHeaders = (reply: Reply, wanted: Record<string, string>): string[] =>
  Object.keys(wanted).filter((name) => {
    // `Link` depends on the option `module`, and only two browsers know `Connection-Allowlist`.
    if (name === 'Link' || name === 'Connection-Allowlist') return false
    // `Cache-Control` may also have other directives.
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
