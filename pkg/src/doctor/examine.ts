/** The order in which the doctor looks at a deployment. */
import { env } from 'node:process'
import type { VaultConfig } from '../worker/config.js'
import { type Configurations, readConfigs } from './configuration.js'
import { loadJudge } from '../headers/core.js'
import { checkApis } from './apis.js'
import {
  type Deployment,
  generated,
  isHandlerNamed,
  namedVaultFile,
  noCache,
  policiesOf,
} from './deployment.js'
import { checkCallback } from './callback-page.js'
import { EXITS } from './exits.js'
import { checkGuardedSite } from './guarded-site.js'
import { checkHandler, routesOf } from './handler.js'
import { hostFile } from './host-files.js'
import { media } from './media.js'
import { otherPages } from './missing-page.js'
import { findPage, mayHaveHandler } from './page-found.js'
import { PAGE_HEADERS } from './page-headers.js'
import { judgePolicy } from './page-policy.js'
import { checkProvider, findMetadata } from './provider.js'
import { type CommandLine, UsageError } from './options.js'
import { asJson, asText, Report } from './report.js'
import { isPrivateUrl, type Reply, Requests, seenHeader, seenOf } from './requests.js'
import { checkVaultFrame } from './vault-frame.js'
import { checkWorker } from './worker.js'
import { findWorker, readScripts } from './worker-path.js'
import { serviceWorker } from './worker-source.js'

/** Looks at a deployment. Resolves with what is to be printed. */
export const examine = async (options: CommandLine): Promise<{ text: string; hasFaults: boolean }> => {
  const configs = await readConfigs(options.configs)
  const report = new Report()
  const requests = new Requests(options.allowsPrivate || isPrivateUrl(options.url), options.userAgent)
  const deployment = await look(options, configs, report, requests)
  await findConfig(deployment, configs)
  if (options.fixHeaders !== undefined) {
    if (options.vaultFrame) {
      throw new UsageError(
        '--fix-headers has no format for a vault on its own origin: use vaultOriginHeaders()',
      )
    }
    if (!deployment.config) throw new UsageError(`--fix-headers needs a configuration: ${lastFault(report)}`)
    await findMetadata(deployment)
    return { text: hostFile(deployment, options.fixHeaders), hasFaults: false }
  }
  if (deployment.config) await findMetadata(deployment)
  const hasHandler = mayHaveHandler(deployment) && (await checkHandler(deployment))
  if (options.site) await checkGuardedSite(deployment, options.site)
  else if (findPage(deployment, hasHandler)) {
    const { vaultFrame } = options
    const isServed = hasHandler || isHandlerNamed(deployment)
    const hasVault = (deployment.config ?? deployment.worker) !== undefined
    deployment.needsWorker = !vaultFrame && (!isServed || hasVault)
    await judgePolicy(deployment)
    await report.judge(PAGE_HEADERS, deployment)
    if (!vaultFrame) await checkCallback(deployment)
    await report.judge({ 'page.others': otherPages, ...EXITS, 'page.media': media }, deployment)
    const home = vaultFrame ? await checkVaultFrame(deployment, vaultFrame) : deployment
    report.add('page.service-worker', await serviceWorker(home))
    await checkWorker(home)
    await checkProvider(home)
    await checkApis(home)
  }
  noteInheritance(report, deployment.page)
  report.group()
  const address = options.url.href
  const text = (options.json ? asJson : asText)(address, report, requests.count)
  return { text, hasFaults: report.hasFaults }
}

/** Says why several headers of a page are missing at once, as they are if nginx has one `add_header` too many. */
const noteInheritance = ({ lines }: Report, { header }: Reply) => {
  const [first, second] = lines.filter(
    ({ id, seen }) => id.startsWith('page.') && /^no [A-Z][\w-]+$/.test(seen ?? ''),
  )
  if (!first || !second || !/^nginx/i.test(header('server') ?? '')) return
  const { fix } = first
  first.fix = () =>
    `${typeof fix === 'function' ? fix() : fix} (in nginx, a location inherits none of the server's headers if it has an add_header of its own: repeat all of them there)`
}

const lastFault = ({ lines }: Report) =>
  lines.find(({ result }) => result === 'fault')?.text ?? 'pass --config FILE'

/** Requests the page. */
const look = async (
  options: CommandLine,
  { files }: Configurations,
  report: Report,
  requests: Requests,
): Promise<Deployment> => {
  const headers = { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' }
  const page = await requests.send(options.url.href, { headers })
  const deployment: Deployment = {
    options,
    files,
    report,
    requests,
    judge: await loadJudge(),
    origin: options.url.origin,
    page,
    policies: policiesOf(page),
    scripts: [],
    needsWorker: true,
  }
  await readScripts(deployment)
  const worker = options.worker ?? namedVaultFile(deployment)
  if (worker !== undefined) deployment.worker = worker
  if (!options.vaultFrame) await findWorker(deployment)
  return deployment
}

/** The worker's file of docs/standalone.md. */
const STANDALONE = '/strongroom/standalone.js'

/** Finds the configurations, and lets the core judge that of the vault. */
const findConfig = async (deployment: Deployment, { vault, handler, files }: Configurations) => {
  const { report, judge, origin, options } = deployment
  const id = 'config.valid'
  const config = vault ?? (await fromSite(deployment))
  if (handler) {
    deployment.handlerConfig = {
      ...handler,
      issuer: fromEnv(handler.issuer),
      routes: routesOf(handler.routes),
    }
    const why = `${files.handler} is a token handler's configuration, which only its server can judge`
    report.unused(config ? 'config.handler' : id, why)
  } else if (config === undefined)
    report.unused(id, 'without a configuration (--config FILE), lines that need it are left out')
  if (config === undefined) return
  const source = files.vault ?? 'strongroom.json'
  const base = (options.vaultFrame?.origin ?? origin) + (deployment.worker ?? STANDALONE)
  const reason = judge(config, base) ?? unwritable(deployment, config)
  if (reason === undefined) {
    report.ok(id, `the core accepts ${source}`)
    deployment.config = config
  } else report.fault(id, `the core refuses ${source}`, reason, `correct the option in ${source}`)
}

/** Returns the value of an option. A function reads the environment, as on a server, whose variables this one may lack. */
const fromEnv = (value: unknown): string | undefined => {
  try {
    const read = typeof value === 'function' ? value(env) : value
    return typeof read === 'string' && URL.canParse(read) ? read : undefined
  } catch {
    return undefined
  }
}

/** Returns the reason why no policy can have the addresses of a configuration, or `undefined`. */
const unwritable = (deployment: Deployment, config: VaultConfig): string | undefined => {
  try {
    generated({ ...deployment, config })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Reads `strongroom.json`, which a standalone worker has beside it. */
const fromSite = async (deployment: Deployment): Promise<VaultConfig | undefined> => {
  const { report, requests, origin, page, worker } = deployment
  if (page.status !== 200) return undefined
  const isStandalone = worker !== undefined && /\/standalone\.js$/.test(worker)
  if (worker !== undefined && !isStandalone) return undefined
  const url = new URL('strongroom.json', origin + (worker ?? STANDALONE)).href
  const { pathname } = new URL(url)
  const file = await requests.send(url)
  const type = file.header('content-type') ?? ''
  const isJson = /^application\/json *(;|$)/i.test(type)
  // Without a worker that reads it, the file need not exist, and many servers send a page in its place.
  if (!isStandalone && !(file.status === 200 && isJson)) return undefined
  deployment.worker = worker ?? STANDALONE
  if (file.status !== 200 || !isJson) {
    const fix =
      file.status === 200 && !/html/.test(type)
        ? 'Content-Type: application/json'
        : `let the server send the file for ${pathname}, without a redirect`
    const why = 'the worker cannot read its configuration'
    report.fault('config.file', why, `${seenOf(file)} for ${url}`, fix)
    return undefined
  }
  const cache = file.header('cache-control') ?? ''
  report.check(
    'config.file',
    `${pathname} has the configuration`,
    !/\b(no-cache|no-store|max-age=0)\b/i.test(cache) &&
      'caches between server and browser may deliver an outdated configuration',
    seenHeader(file, 'Cache-Control'),
    noCache(pathname),
  )
  try {
    return JSON.parse(file.body)
  } catch (error) {
    const seen = (error as Error).message
    report.fault('config.json', 'the configuration is not JSON', seen, `correct ${pathname}`)
    return undefined
  }
}
