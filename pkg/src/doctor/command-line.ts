/** The command line: `strongroom doctor URL`. */
import { HOSTS, UsageError, type CommandLine, type HostName } from './options.js'

export const USAGE = `strongroom doctor URL [options]

Looks at a deployment from outside, and says what to change. It sends no token and needs no login.

  --config FILE        the configuration of the vault or the token handler: strongroom.json, or a module that exports \`config\`
                       (default: strongroom.json at the site; without one, lines that need it are left out)
  --worker PATH        the worker's file, such as /auth.worker.js
                       (default: the file that the page's worker-src names, or that its scripts start)
  --vault-frame URL    the frame's page, if the vault has an origin of its own
  --handler PATH       the token handler's endpoints (default: /auth, if there is one)
  --probe-token        sends one token request with a code, and one revocation with a token, that do not exist
  --user-agent TEXT    the name with which requests are sent, for a firewall that refuses 'strongroom-doctor'
  --allow-private      sends requests to private addresses even if URL has a public one
  --fix-headers HOST   prints the headers for ${HOSTS.join(', ')}, in place of a report
  --json               prints the report as JSON
  --help               prints this text

Results: ✓ works, ✗ must change, ? cannot be seen from outside, – not used.
The exit status is 1 if there is a ✗, 2 if the command line cannot be used, and 0 otherwise.
`

const VALUES = ['--config', '--worker', '--handler', '--vault-frame', '--fix-headers', '--user-agent']
const FLAGS = ['--json', '--probe-token', '--allow-private', '--help']

/** Reads the arguments after the name of the program. @throws UsageError */
export const readCommandLine = (all: string[]): CommandLine | 'help' => {
  // `npx strongroom doctor`: the package has one program, and this is its one command.
  const [command, ...rest] = all
  if (command === '--help' || command === '-h' || command === undefined) return 'help'
  if (command !== 'doctor') throw new UsageError(`there is no command '${command}', only 'doctor'`)
  const { values, flags, others } = split(rest)
  if (flags.has('--help')) return 'help'
  const [address, more] = others
  if (address === undefined) throw new UsageError("the app's address is missing")
  if (more !== undefined) throw new UsageError(`'${more}' comes after the app's address`)
  const url = readUrl(address)
  const host = values.get('--fix-headers')
  if (host !== undefined && !HOSTS.includes(host as HostName)) {
    throw new UsageError(`--fix-headers knows no host '${host}', only ${HOSTS.join(', ')}`)
  }
  for (const name of ['--worker', '--handler']) {
    const path = values.get(name)
    if (path !== undefined && !path.startsWith('/')) {
      throw new UsageError(`${name} is '${path}', and must be a path that begins with a slash`)
    }
  }
  const [config, worker, handler] = ['--config', '--worker', '--handler'].map((name) => values.get(name))
  const frame = values.get('--vault-frame')
  const userAgent = values.get('--user-agent')
  if (userAgent !== undefined && !/^[ -~]+$/.test(userAgent)) {
    throw new UsageError('--user-agent must consist of printable ASCII characters')
  }
  return {
    url,
    ...(frame !== undefined && { vaultFrame: readUrl(frame) }),
    ...(config !== undefined && { config }),
    ...(userAgent !== undefined && { userAgent }),
    ...(worker !== undefined && { worker }),
    ...(host !== undefined && { fixHeaders: host as HostName }),
    ...(handler !== undefined && { handler }),
    json: flags.has('--json'),
    probesToken: flags.has('--probe-token'),
    allowsPrivate: flags.has('--allow-private'),
  }
}

/** Separates options with a value, options without one, and the other arguments. */
const split = (args: string[]) => {
  const values = new Map<string, string>()
  const flags = new Set<string>()
  const others: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    const [name, inline] = arg.startsWith('--') ? cut(arg, '=') : [arg, undefined]
    if (VALUES.includes(name)) {
      const value = inline ?? args[++i]
      if (value === undefined) throw new UsageError(`${name} needs a value`)
      values.set(name, value)
    } else if (FLAGS.includes(arg) || arg === '-h') flags.add(arg === '-h' ? '--help' : arg)
    else if (arg.startsWith('-')) throw new UsageError(`there is no option '${arg}'`)
    else others.push(arg)
  }
  return { values, flags, others }
}

const cut = (text: string, separator: string): [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

const readUrl = (address: string): URL => {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`'${address}' is not an http or https URL, such as https://app.example.com`)
  }
  if (url.username || url.password) throw new UsageError('the URL must not contain a user or password')
  return url
}
