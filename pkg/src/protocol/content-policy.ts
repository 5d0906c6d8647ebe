/** A Content-Security-Policy as browsers read it (CSP 3). */

/** One policy: its directives, each with its sources. */
export type Policy = Map<string, string[]>

/** For each directive, those that count in its place if it is missing, in this order (CSP 3, 6.8.3). */
const FALLBACK: Record<string, string[]> = {
  'connect-src': ['default-src'],
  'frame-src': ['child-src', 'default-src'],
  'object-src': ['default-src'],
  'script-src': ['default-src'],
  // Decides about `<script>` elements and imports. `eval()` and WebAssembly ask `script-src`.
  'script-src-elem': ['script-src', 'default-src'],
  'worker-src': ['child-src', 'script-src', 'default-src'],
}

/** Reads a policy. */
export const parsePolicy = (text: string): Policy => {
  const policy: Policy = new Map()
  for (const directive of text.split(';')) {
    const [name = '', ...sources] = directive.trim().split(/\s+/)
    // The first of several directives with the same name counts.
    if (name && !policy.has(name.toLowerCase())) policy.set(name.toLowerCase(), sources)
  }
  return policy
}

/** Returns the directive that counts for a name: itself, or another one. `undefined` if the policy has none of them. */
export const decidingFor = (policy: Policy, name: string): string | undefined =>
  [name, ...(FALLBACK[name] ?? [])].find((one) => policy.has(one))
