/** Mistakes of syntax in a policy, which browsers interpret as something else and do not report. */
import type { Policy } from './policy.js'

/** Keywords, which without quotes are names of hosts. */
const KEYWORD =
  /^(self|none|unsafe-inline|unsafe-eval|wasm-unsafe-eval|strict-dynamic|nonce-\S+|sha(256|384|512)-\S+)$/i

/** Names of directives, which are sources of the directive before if a semicolon is missing. */
const DIRECTIVE =
  /^((default|script|style|img|connect|font|media|object|frame|child|worker|manifest)-src|(script|style)-src-(elem|attr)|base-uri|form-action|frame-ancestors|sandbox|require-trusted-types-for|trusted-types)$/i

/** Returns what is wrong with the writing of these policies, and the policies as they were meant. */
export const mistakesIn = (policies: Policy[]): { faults: string[]; meant: string } => {
  const faults = new Set<string>()
  const meant = policies.map((policy) => {
    let text = ''
    for (const [name, sources] of policy) {
      text += `${text && '; '}${name}`
      for (const source of sources) {
        if (DIRECTIVE.test(source)) faults.add(`a semicolon is missing before ${source}`)
        else if (KEYWORD.test(source)) faults.add(`${source} in ${name} is the name of a host without quotes`)
        text += DIRECTIVE.test(source) ? `; ${source}` : KEYWORD.test(source) ? ` '${source}'` : ` ${source}`
      }
    }
    return text
  })
  return { faults: [...faults], meant: meant.join(', ') }
}
