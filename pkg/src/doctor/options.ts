/** The options of the doctor, and the errors that its user can correct. */

/** The hosts whose formats are known. */
export const HOSTS = ['cloudflare', 'netlify', 'next', 'nginx', 'vercel'] as const

/** A host whose format is known. */
export type HostName = (typeof HOSTS)[number]

/** The address in place of the site, and the header `Cookie` of a signed-in user if the doctor may send it. */
export interface SiteOptions {
  host: string
  port: number
  cookie?: string
}

/** The options of the command line. */
export interface CommandLine {
  /** The app's address. */
  url: URL
  /** The files with the configurations of vault and token handler. Default: `strongroom.json` at the site. */
  configs: string[]
  /** The path of the worker's file. Default: the file that the page's `worker-src` names. */
  worker?: string
  /** The address of the frame, if the vault has an origin of its own. */
  vaultFrame?: URL
  /** The path of the token handler's endpoints. Default: `/auth`, if there is one. */
  handler?: string
  /** The address at which the doctor listens in place of a guarded site. */
  site?: SiteOptions
  /** The value of `User-Agent` in place of the doctor's own name. */
  userAgent?: string
  json: boolean
  /** Sends a token request with a code that does not exist. */
  probesToken: boolean
  /** Sends requests to private addresses, whatever the app's address is. */
  allowsPrivate: boolean
  /** Prints the headers in the format of this host, in place of a report. */
  fixHeaders?: HostName
}

/** A command line that cannot be understood. */
export class UsageError extends Error {}

/** An error that the user of the command can fix. */
export class Failure extends Error {}
