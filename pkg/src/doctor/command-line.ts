/** The command line: `strongroom doctor URL`. */
import { env } from 'node:process'
import { readUrl, readUserAgent, splitArguments } from './arguments.js'
import { HOSTS, UsageError, type CommandLine, type HostName, type SiteOptions } from './options.js'

export const USAGE = `strongroom doctor URL [options]

Looks at a deployment from outside, and says what to change. It sends no token and needs no login.

  --config FILE        the configuration of the vault or the token handler: strongroom.json, or a module that exports \`config\`
                       (default: strongroom.json at the site; without one, lines that need it are left out). Twice for a
                       vault with a fallback: that of the vault, and that of the token handler
  --worker PATH        the worker's file, such as /auth.worker.js
                       (default: the file that the page's worker-src names, or that its scripts start)
  --vault-frame URL    the frame's page, if the vault has an origin of its own
  --handler PATH       the token handler's endpoints (default: /auth, if there is one). With a vault's configuration, the
                       handler is its fallback
  --site HOST:PORT     listens in place of a site behind a proxy that asks handler.check, and compares what arrives there with
                       what it sent; STRONGROOM_COOKIE may have the header Cookie of a signed-in user
  --probe-token        sends one token request with a code, and one revocation with a token, that do not exist
  --user-agent TEXT    the name with which requests are sent, for a firewall that refuses 'strongroom-doctor'
  --allow-private      sends requests to private addresses even if URL has a public one
  --fix-headers HOST   prints the headers for ${HOSTS.join(', ')}, in place of a report
  --json               prints the report as JSON
  --help               prints this text

Results: ✓ works, ✗ must change, ~ is slower than it could be, ? was not seen, – not used.
The exit status is 1 if there is a ✗, 2 if the command line cannot be used, and 0 otherwise.
`

const VALUES = [
  '--config',
  '--worker',
  '--handler',
  '--vault-frame',
  '--fix-headers',
  '--site',
  '--user-agent',
]
const EXAMPLE = 'https://app.example.com'
const FLAGS = ['--json', '--probe-token', '--allow-private', '--help']

/** Reads the address in place of a guarded site. @throws UsageError */
const readSite = (text: string): SiteOptions => {
  const [, host, port] = /^(?:(.*):)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || +port < 1 || +port > 65_535) {
    throw new UsageError(`--site is '${text}', and must be the address of the site, such as 127.0.0.1:3000`)
  }
  const cookie = env.STRONGROOM_COOKIE
  return { host: host || '127.0.0.1', port: +port, ...(cookie && { cookie }) }
}

/** Reads the arguments after the name of the command. @throws UsageError */
export const readCommandLine = (args: string[]): CommandLine | 'help' => {
  const all = splitArguments(args, { values: VALUES, flags: FLAGS })
  const { pairs, values, flags, others } = all
  if (flags.has('--help')) return 'help'
  const [address, more] = others
  if (address === undefined) throw new UsageError("the app's address is missing")
  if (more !== undefined) throw new UsageError(`'${more}' comes after the app's address`)
  const url = readUrl(address, EXAMPLE)
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
  const [worker, handler] = ['--worker', '--handler'].map((name) => values.get(name))
  const frame = values.get('--vault-frame')
  const site = values.get('--site')
  return {
    url,
    ...(frame !== undefined && { vaultFrame: readUrl(frame, EXAMPLE) }),
    configs: pairs.flatMap(([name, file]) => (name === '--config' ? [file] : [])),
    ...readUserAgent(all),
    ...(worker !== undefined && { worker }),
    ...(host !== undefined && { fixHeaders: host as HostName }),
    ...(handler !== undefined && { handler }),
    ...(site !== undefined && { site: readSite(site) }),
    json: flags.has('--json'),
    probesToken: flags.has('--probe-token'),
    allowsPrivate: flags.has('--allow-private'),
  }
}
