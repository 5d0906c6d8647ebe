/** Checks of options. */
import { RULE_OPTIONS, SESSION_OPTIONS, VAULT_OPTIONS } from '../generated/options.js'
import { StrongroomError } from '../page/errors/error.js'
import { suggest } from '../page/errors/suggestions.js'

/** Returns the error of an option that cannot be used. */
export const invalid = (message: string) => new StrongroomError('config_invalid', `${message}.`)

/** Returns a URL that is https, or http on loopback, as the vault's configuration requires. */
const secureUrl = (url: unknown, base?: string): URL | undefined => {
  if (typeof url !== 'string' || !URL.canParse(url, base)) return undefined
  const parsed = new URL(url, base)
  const isLoopback = /^((.+\.)?localhost|127(\.\d+){3})$/.test(parsed.hostname)
  return parsed.protocol === 'https:' || (parsed.protocol === 'http:' && isLoopback) ? parsed : undefined
}

/** Returns true if a vault can request this address. */
export const isEndpoint = (url: unknown): boolean => secureUrl(url) !== undefined

/**
 * Returns a URL's origin. The URL must be https, or http on loopback, as in the vault's configuration. Characters that
 * URLs allow in a host name, and that have a meaning in a policy, such as `*` and `;`, are refused.
 */
export const originOf = (name: string, url: unknown, base?: string): string => {
  const parsed = secureUrl(url, base)
  if (!parsed) {
    throw invalid(`\`${name}\` is ${JSON.stringify(url)}, and must be an https URL`)
  }
  if (!/^[a-z\d-]+(\.[a-z\d-]+)*$/.test(parsed.hostname)) {
    throw invalid(`\`${name}\` is '${url}', and a Content-Security-Policy cannot name this host`)
  }
  return parsed.origin
}

/** Returns an origin that is written as browsers write origins, such as `https://app.example.com`. */
export const appOrigin = (name: string, origin: string): string => {
  const parsed = originOf(name, origin)
  if (parsed !== origin)
    throw invalid(`\`${name}\` is '${origin}', and must be an origin such as '${parsed}'`)
  return parsed
}

/** Returns the paths of the app's origin that the rules' options `media` name. */
export const mediaPaths = (apis: { media?: string }[]): string[] =>
  apis.flatMap(({ media }, i) => {
    return media === undefined ? [] : [checkFolder(`apis[${i}].media`, media)]
  })

/** Checks a path that is written to a policy and to the patterns of hosts. */
export const checkPath = (name: string, path: string): string => {
  if (/^(\/[\w.~@-]+)*\/?$/.test(path) && !/\/\.{1,2}(\/|$)/.test(path) && path.length > 1) return path
  throw invalid(
    `\`${name}\` is ${JSON.stringify(path)}, and must be a path of letters, digits and ._~@-, such as '/auth.worker.js'`,
  )
}

/** Checks the path of a folder. */
export const checkFolder = (name: string, path: string): string => {
  if (checkPath(name, path).endsWith('/')) return path
  throw invalid(`\`${name}\` is '${path}', and must end in a slash`)
}

/**
 * Refuses options that the vault does not know. The core, which also judges their values, is too slow to start where headers
 * are generated for each request.
 */
export const checkNames = (config: { apis?: unknown; session?: unknown }): void => {
  const { apis, session } = config
  const lines = [
    ...unknownIn('', config, VAULT_OPTIONS),
    ...unknownIn('session.', session, SESSION_OPTIONS),
    ...(Array.isArray(apis) ? apis : []).flatMap((rule, i) => unknownIn(`apis[${i}].`, rule, RULE_OPTIONS)),
  ]
  if (lines.length) throw invalid(suggest(lines.join('\n')))
}

/** Returns a line for each unknown option, as the core does. `known` has the names, some with the path of their object. */
const unknownIn = (path: string, object: unknown, known: string): string[] => {
  const names = known.replace(/\S+\./g, '')
  return Object.keys(object ?? {})
    .filter((name) => !names.split(' ').includes(name))
    .map((name) => `\`${path}${name}\`: there is no such option\n${names}`)
}
