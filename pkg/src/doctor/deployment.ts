/** The deployment that is looked at, and what is known about it so far. */
import { inspect } from 'node:util'
import { type Fallback, type HeaderConfig, type SecurityHeaders, securityHeaders } from '../headers/index.js'
import type { ProviderMetadata, VaultConfig } from '../worker/config.js'
import type { CommandLine } from './options.js'
import type { Judge } from '../headers/core.js'
import { metaPolicies, parsePolicies, type Policy, sourcesOf } from './policy.js'
import type { Report } from './report.js'
import { type Reply, type Requests, valueOf } from './requests.js'

/** A token handler's configuration, as far as the doctor reads it. */
export interface HandlerConfig {
  base?: string
  issuer?: string | undefined
  metadata?: Record<string, unknown>
  identity?: unknown
  clockTolerance?: number
  routes?: { prefix: string; methods?: string[] }[]
  scope?: string
  dpop?: boolean
  session?: { storage?: string; bind?: unknown }
  cookie?: { name?: string }
  origin?: string | string[]
  guards?: Record<string, { identity?: Record<string, string> }>
}

/** The state that the parts of the doctor share. */
export interface Deployment {
  readonly options: CommandLine
  /** The files of the configurations. */
  readonly files: { vault?: string; handler?: string }
  readonly requests: Requests
  readonly report: Report
  readonly judge: Judge
  /** The origin of the app's pages. */
  readonly origin: string
  /** The app's page. */
  readonly page: Reply
  /** The policies of the page. */
  readonly policies: Policy[]
  /** False if a token handler is in place of a worker. */
  needsWorker: boolean
  /** The page's scripts on its own origin, as far as they were read. */
  readonly scripts: Reply[]
  /** The origins of the provider to which a token handler's login leads. */
  provider?: string[]
  /** The routes that a token handler names to pages, if one responds. */
  routes?: { prefix: string; url: string }[]
  /** The response for a path that does not exist. */
  missing?: Reply
  /** The path of the worker's file, if it is known. */
  worker?: string
  /** The path of the worker's file that the page's scripts name. */
  started?: string
  /** The response with the worker's file. */
  workerFile?: Reply
  /** The configuration, if there is one and the core accepts it. */
  config?: VaultConfig
  /** The parts of a token handler's configuration that matter outside of its server. */
  handlerConfig?: HandlerConfig
  /** The response with the provider's discovery document, and its members if it is one. */
  discovery?: { reply: Reply; document?: Record<string, unknown>; failed?: Reply }
  /** The provider's metadata, with the members that the configuration sets. */
  metadata?: Partial<ProviderMetadata>
}

/** Returns the path of the token handler's endpoints, without a slash at its end. */
export const handlerBase = ({ options, handlerConfig }: Deployment): string =>
  (options.handler ?? handlerConfig?.base ?? '/auth').replace(/\/$/, '')

/** Returns true if the command names the token handler. */
export const isHandlerNamed = ({ options, handlerConfig }: Deployment): boolean =>
  options.handler !== undefined || handlerConfig !== undefined

/** Returns the token handler of an app with a vault, for users without WebAssembly. */
export const fallbackOf = (deployment: Deployment): Fallback | undefined => {
  const { options, config, handlerConfig, routes = [] } = deployment
  return config && isHandlerNamed(deployment) && !options.vaultFrame
    ? { base: handlerBase(deployment), routes: [...routes, ...(handlerConfig?.routes ?? [])] }
    : undefined
}

/** Returns an option in the syntax of the configuration that was read: JSON, or JavaScript. */
export const option = (
  { files, config }: Pick<Deployment, 'config' | 'files'>,
  name: string,
  value: unknown,
): string => {
  const file = config ? (files.vault ?? 'strongroom.json') : (files.handler ?? '')
  const isJson = /\.json$/i.test(file)
  return isJson ? `"${name}": ${JSON.stringify(value)}` : `${name}: ${inspect(value)}`
}

/** Returns the line for a file that browsers must ask for again. */
export const noCache = (path: string): string =>
  `Cache-Control: no-cache (for ${path} only. If you have this line, a later or wider rule overrides it: put it last)`

/** Returns all policies of a response. */
export const policiesOf = (reply: Reply): Policy[] => [
  ...parsePolicies(reply.header('content-security-policy')),
  ...metaPolicies(/html/.test(reply.header('content-type') ?? '') ? reply.body : ''),
]

/**
 * A path for headers that do not name the worker, as long as the worker's file is not known. No line that fixes something
 * contains this path, because the policy would then block the worker.
 */
export const SOME_WORKER = '/auth.worker.js'

/** The fix for a policy in which the worker's path is missing. */
export const needsPath = (what: string): string =>
  `add --worker PATH with the path of your worker's file, and this line has ${what}`

/** Returns the headers that `strongroom/headers` generates for this deployment. */
export const generated = (deployment: Deployment): SecurityHeaders => {
  const { origin, worker = SOME_WORKER, metadata } = deployment
  const config: HeaderConfig = deployment.config ?? { issuer: origin, apis: [] }
  const serviceWorker = registeredServiceWorker(deployment)
  const options = {
    origin,
    worker,
    isolated: isIsolated(deployment),
    ...(serviceWorker !== undefined && { serviceWorker }),
  }
  const fallback = fallbackOf(deployment)
  try {
    return securityHeaders(config, {
      ...options,
      ...(metadata && { metadata }),
      ...(fallback && { fallback }),
    })
  } catch (error) {
    // A policy cannot name every host of an endpoint, and every path of a handler.
    if (metadata || fallback) return securityHeaders(config, options)
    throw error
  }
}

/** Returns true if the page asks to be cross-origin isolated. */
export const isIsolated = ({ page }: Deployment): boolean =>
  /^(require-corp|credentialless)$/.test(valueOf(page, 'Cross-Origin-Embedder-Policy') ?? '')

/** Returns the paths of the app's origin that the page's `worker-src` names. */
const namedPaths = ({ policies, origin }: Deployment): string[] => {
  const sources = policies.flatMap((policy) => sourcesOf(policy, 'worker-src') ?? [])
  const paths = sources.flatMap((source) =>
    source.startsWith(`${origin}/`) ? [source.slice(origin.length)] : [],
  )
  return [...new Set(paths)]
}

const isFolder = (path: string) => path.endsWith('/')

/** Returns the files of the app's origin that the page's `worker-src` names. */
export const namedFiles = (deployment: Deployment): string[] =>
  namedPaths(deployment).filter((path) => !isFolder(path))

/**
 * Returns the file that the page's `worker-src` names for the vault. Returns `undefined` if it names a folder: the vault's
 * file is then in the folder, and a named file is the service worker.
 */
export const namedVaultFile = (deployment: Deployment): string | undefined => {
  const paths = namedPaths(deployment)
  const registered = registeredServiceWorker(deployment)
  return paths.some(isFolder) ? undefined : paths.find((path) => path !== registered)
}

/** Matches the place where a script registers a service worker, if it writes the address there. */
const REGISTRATION = /\bserviceWorker\b.{0,40}?\bregister\([^"'`]{0,40}(["'`])([^"'`\s]+)\1/s

/** Returns the path of the service worker that a script of the page registers. */
export const registeredServiceWorker = ({ scripts, origin, page }: Deployment): string | undefined => {
  for (const script of scripts) {
    const [, , address] = REGISTRATION.exec(script.body) ?? []
    if (address === undefined || !URL.canParse(address, page.url)) continue
    const url = new URL(address, page.url)
    if (url.origin === origin && new URL(script.url).origin === origin) return url.pathname
  }
  return undefined
}

/** Returns the path of the service worker that a script registers, or that `worker-src` names next to the vault's file. */
export const serviceWorkerOf = (deployment: Deployment): string | undefined =>
  registeredServiceWorker(deployment) ??
  namedFiles(deployment).find((path) => path !== (deployment.worker ?? namedVaultFile(deployment)))

/** Returns the line that sets a header. */
export const headerLine = (headers: Record<string, string>, name: string): string =>
  `${name}: ${headers[name]}`
