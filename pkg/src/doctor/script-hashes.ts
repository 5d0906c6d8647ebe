/** The hashes of scripts, and what a policy permits by them. */
import { createHash } from 'node:crypto'
import { admits, permits, type Policy } from './policy.js'
import type { Reply } from './requests.js'
import { hashesOf, type ScriptFile } from './scripts.js'

/** Returns true for a source that is a hash. */
export const isHash = (source: string): boolean => /^'sha(256|384|512)-/.test(source)

/** Returns the hash of a file, in the form that a page or a policy uses. */
export const hashOf = ({ bytes }: Reply, algorithm: string): string =>
  `${algorithm}-${createHash(algorithm).update(bytes).digest('base64')}`

/** Returns true if policies permit a script: by its address, by a nonce, or by its hash. */
export const permitsFile = (
  policies: Policy[],
  { href, attributes }: ScriptFile,
  origin: string,
): boolean => {
  const [, nonce] = /\bnonce=["']?([^"'\s>]+)/i.exec(attributes) ?? []
  const hashes = hashesOf(attributes)
  return permits(policies, 'script-src-elem', (sources) => {
    if (nonce !== undefined && sources.includes(`'nonce-${nonce}'`)) return true
    if (hashes.length > 0 && hashes.every((hash) => sources.includes(`'${hash}'`))) return true
    return !sources.includes("'strict-dynamic'") && admits(sources, href, origin)
  })
}
