/** The arguments of a command. */
import { UsageError } from './options.js'

/** The arguments of a command, sorted. */
export interface Arguments {
  /** Each option with its value, in their order. */
  pairs: [name: string, value: string][]
  /** The last value of each option. */
  values: Map<string, string>
  flags: Set<string>
  others: string[]
}

/** Separates options with a value, options without one, and the other arguments. @throws UsageError */
export const splitArguments = (args: string[], names: { values: string[]; flags: string[] }): Arguments => {
  const pairs: [string, string][] = []
  const flags = new Set<string>()
  const others: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    const [name, inline] = arg.startsWith('--') ? cut(arg, '=') : [arg, undefined]
    if (names.values.includes(name)) {
      const value = inline ?? args[++i]
      if (value === undefined) throw new UsageError(`${name} needs a value`)
      pairs.push([name, value])
    } else if (names.flags.includes(arg) || arg === '-h') flags.add(arg === '-h' ? '--help' : arg)
    else if (arg.startsWith('-')) throw new UsageError(`there is no option '${arg}'`)
    else others.push(arg)
  }
  return { pairs, values: new Map(pairs), flags, others }
}

const cut = (text: string, separator: string): [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** Returns an address that an argument names. @throws UsageError */
export const readUrl = (address: string, example: string): URL => {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`'${address}' is not an http or https URL, such as ${example}`)
  }
  if (url.username || url.password) throw new UsageError('the URL must not contain a user or password')
  return url
}

/** Returns the name with which requests are sent, if one is given. @throws UsageError */
export const readUserAgent = ({ values }: Arguments): { userAgent?: string } => {
  const userAgent = values.get('--user-agent')
  if (userAgent === undefined) return {}
  if (!/^[ -~]+$/.test(userAgent)) {
    throw new UsageError('--user-agent must consist of printable ASCII characters')
  }
  return { userAgent }
}
