/** A Content-Security-Policy as browsers read it (CSP 3). */

/** One policy: its directives, each with its sources. */
export type Policy = Map<string, string[]>

/** The fallbacks of each directive: if the directive is missing, the first of these that is present (CSP 3, 6.8.3). */
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
    // If several directives have the same name, browsers use the first one.
    if (name && !policy.has(name.toLowerCase())) policy.set(name.toLowerCase(), sources)
  }
  return policy
}

/** Returns the directive that decides for a name: itself, or a fallback. `undefined` if the policy has none of them. */
export const decidingFor = (policy: Policy, name: string): string | undefined =>
  [name, ...(FALLBACK[name] ?? [])].find((one) => policy.has(one))
