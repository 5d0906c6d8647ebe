/** The command line: `strongroom metadata ISSUER`. */
import { readUrl, readUserAgent, splitArguments } from '../arguments.js'
import { UsageError } from '../options.js'

export const USAGE = `strongroom metadata [ISSUER] [options]

Reads the provider's metadata, and writes them into a file that the app's configuration imports as \`pinned\`. A login then
needs no request for them. Commit the file.

  --out FILE           the file: a module such as auth.metadata.ts, which may have the metadata of several issuers, or
                       strongroom.json, whose member \`pinned\` is set (default: the file of --config, if it is JSON)
  --config FILE        the configuration, whose issuer is used if there is no ISSUER
  --check              writes nothing, and prints the difference between the file and the provider's metadata
  --user-agent TEXT    the name with which requests are sent, for a firewall that refuses 'strongroom-metadata'
  --allow-private      sends requests to private addresses even if ISSUER has a public one
  --help               prints this text

Without ISSUER and --config, all issuers in the file are read again.
The exit status is 1 if --check finds a difference, 2 if the command cannot be done, and 0 otherwise.
`

/** The options of the command. */
export interface MetadataOptions {
  /** The provider's issuer identifier. Default: that of the configuration, or all issuers in the file. */
  issuer?: string
  /** The file with the configuration. */
  config?: string
  /** The file that is written. */
  out?: string
  /** Compares, and writes nothing. */
  checks: boolean
  userAgent?: string
  allowsPrivate: boolean
}

const NAMES = {
  values: ['--out', '--config', '--user-agent'],
  flags: ['--check', '--allow-private', '--help'],
}

/** Reads the arguments after the name of the command. @throws UsageError */
export const readCommandLine = (args: string[]): MetadataOptions | 'help' => {
  const all = splitArguments(args, NAMES)
  const { values, flags, others } = all
  if (flags.has('--help')) return 'help'
  const [issuer, more] = others
  if (more !== undefined) throw new UsageError(`'${more}' comes after the issuer`)
  if (issuer !== undefined) checkIssuer(issuer)
  const [config, out] = ['--config', '--out'].map((name) => values.get(name))
  if (out !== undefined && !/\.(json|m?[jt]s)$/i.test(out)) {
    throw new UsageError(`--out is '${out}', and must end in .ts, .mts, .js, .mjs or .json`)
  }
  return {
    ...(issuer !== undefined && { issuer }),
    ...(config !== undefined && { config }),
    ...(out !== undefined && { out }),
    checks: flags.has('--check'),
    ...readUserAgent(all),
    allowsPrivate: flags.has('--allow-private'),
  }
}

/** Checks an issuer identifier (RFC 8414 section 2). @throws UsageError */
export const checkIssuer = (issuer: string): void => {
  if (/[{}]/.test(issuer)) throw new UsageError(templateFault(issuer))
  const [before, document] = issuer.split('/.well-known/')
  if (document !== undefined) {
    throw new UsageError(`'${issuer}' is a document. The issuer is probably ${before}, or this with a slash`)
  }
  const { protocol, hostname, search, hash } = readUrl(issuer, 'https://id.example.com')
  if (search || hash || !/^[!-~]+$/.test(issuer)) {
    throw new UsageError(
      `the issuer '${issuer}' must have no query, no fragment, and only printable ASCII characters`,
    )
  }
  if (protocol === 'http:' && !/^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) {
    throw new UsageError(`the issuer '${issuer}' must be https, or http on loopback`)
  }
}

/** Returns what to do about the issuer of many tenants. */
export const templateFault = (issuer: string): string =>
  `'${issuer}' stands for the issuers of many tenants, whose metadata cannot be pinned: pass the issuer of your tenant, or leave \`pinned\` out`
