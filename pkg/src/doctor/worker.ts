/** The lines about the worker's file and the WebAssembly module. */
import {
  type Deployment,
  directive,
  generated,
  headerLine,
  isIsolated,
  noCache,
  policiesOf,
} from './deployment.js'
import { checkNoSniff, checkOtherDeletion, hasSlips } from './page.js'
import {
  admits,
  Correction,
  isAnywhere,
  opensCode,
  permits,
  type Policy,
  sourcesOf,
  written,
} from './policy.js'
import type { Report } from './report.js'
import type { ResponseHeaders } from '../headers/index.js'
import { refusedBy } from './connection-allowlist.js'
import { isPrivateUrl, type Reply, seenHeader, seenOf } from './requests.js'

/** Checks the worker's file. */
export const checkWorker = async (deployment: Deployment): Promise<void> => {
  const { report, requests, origin, worker } = deployment
  if (!deployment.needsWorker) {
    report.unused('worker.file', 'a token handler is in place of a worker')
    return
  }
  if (worker === undefined) {
    report.unseen(
      'worker.file',
      "the worker's file is not known: name it with --worker, such as --worker /auth.worker.js",
    )
    return
  }
  const file = (deployment.workerFile ??= await requests.send(origin + worker))
  const type = file.header('content-type') ?? ''
  const isScript = /^(text|application)\/(x-)?(java|ecma)script *(;|$)/i.test(type)
  if (file.status !== 200 || !isScript) {
    report.fault(
      'worker.file',
      file.failure === undefined
        ? "the worker's file is not a script"
        : "the server does not respond with the worker's file",
      `${seenOf(file)} for ${worker}`,
      file.failure !== undefined
        ? "look at the server's log"
        : file.status === 200 && !/html/.test(type)
          ? 'Content-Type: text/javascript; charset=utf-8'
          : `let the server send the worker's file for ${worker}, not a page, or correct worker-src, if the page starts another file (--worker PATH)`,
    )
    return
  }
  report.ok('worker.file', `${worker} is a script`)
  checkOtherDeletion(deployment, 'worker.data', worker, file)
  checkPolicy(deployment, policiesOf(file))
  checkCache(deployment)
  checkNoSniff(deployment, 'worker.nosniff', file)
  if (isIsolated(deployment)) {
    const name = 'Cross-Origin-Embedder-Policy'
    report.check(
      'worker.embedder',
      "the worker's file has the page's Cross-Origin-Embedder-Policy",
      file.header(name) ? undefined : 'an isolated page cannot start a worker without this header',
      seenHeader(file, name),
      `${name}: require-corp`,
    )
  } else report.unused('worker.embedder', 'the page is not cross-origin isolated')
  await checkModule(deployment)
}

const checkPolicy = (deployment: Deployment, policies: Policy[]) => {
  const { report, config, workerFile } = deployment
  const wanted = generated(deployment).worker
  const name = 'Content-Security-Policy'
  const line = headerLine(wanted, name)
  if (!policies.length) {
    const why = 'the worker may send requests anywhere: it does not inherit the policy of the page'
    report.fault(
      'worker.policy',
      why,
      `no ${name}`,
      config ? line : `${line} (with the origins of provider and APIs)`,
    )
    return
  }
  const compiles = (all: Policy[]) =>
    permits(all, 'script-src', (sources) =>
      sources.some((one) => one === "'wasm-unsafe-eval'" || one === "'unsafe-eval'"),
    )
  const canCompile = compiles(policies)
  if (!canCompile && policies.some((one) => compiles([one]))) {
    report.fault(
      'worker.policy',
      `the worker's file has ${policies.length} policies, and browsers enforce all of them`,
      workerFile!.header(name) ?? '',
      `only this one: ${line}`,
    )
    return
  }
  report.ok('worker.policy', "the worker's file has a policy of its own")
  if (hasSlips(deployment, 'worker', policies)) return
  const correction = new Correction(policies)
  const script = correction.set(directive(wanted[name], 'script-src'))
  report.check(
    'worker.wasm-unsafe-eval',
    'the worker may run WebAssembly',
    canCompile ? undefined : "script-src lacks 'wasm-unsafe-eval', so the core cannot start",
    written(policies, 'script-src'),
    script,
  )
  const opening = opensCode(policies, isAnywhere)
  report.check(
    'worker.script-src',
    'the worker runs only scripts of the app',
    opening && 'the worker may run code from elsewhere',
    written(policies, opening ?? 'script-src'),
    script,
  )
  checkConnections(deployment, policies, directive(wanted[name], 'connect-src'), correction)
  checkAllowlist(deployment, wanted)
}

/** Checks that the worker may connect to what the configuration names, and to nothing else. */
const checkConnections = (
  deployment: Deployment,
  policies: Policy[],
  line: string,
  correction: Correction,
) => {
  const { report, config, origin } = deployment
  const fix = correction.set(line)
  const seen = written(policies, 'connect-src')
  if (permits(policies, 'connect-src', (sources) => sources.some(isAnywhere))) {
    report.fault('worker.connect-src', 'the worker may send requests anywhere', seen, fix)
    return
  }
  if (!config) {
    report.ok('worker.connect-src', `${seen}: the worker may send requests nowhere else`)
    return
  }
  const [, ...wanted] = line.split(' ')
  const blocked = wanted
    .map((one) => (one === "'self'" ? origin : one))
    .filter(
      (one) =>
        !permits(
          policies,
          'connect-src',
          (sources) => admits(sources, `${one}/`, origin) || admitsBelow(sources, one, origin),
        ),
    )
  // A source with a path permits nothing but this path, and what is below it only if it ends with a slash.
  const permitted = (url: string) =>
    permits(policies, 'connect-src', (sources) => admits(sources, url, origin))
  for (const url of addressesOf(deployment)) {
    const isKnown = blocked.some((one) => url.startsWith(`${one}/`))
    if (!isKnown && !permitted(url)) blocked.push(url)
  }
  if (blocked.length) {
    const why = `the policy blocks the worker's requests to ${blocked.join(' and ')}`
    report.fault('worker.connect-src', why, seen, fix)
    return
  }
  const more = [...new Set(policies.flatMap((one) => sourcesOf(one, 'connect-src') ?? []))].filter(
    (source) =>
      !wanted.some((one) => isWithin(source, one === "'self'" ? origin : one)) && source !== "'self'",
  )
  report.check(
    'worker.connect-src',
    'the worker may send requests to the provider and the APIs, and nowhere else',
    more.length
      ? `the policy permits ${more.join(' and ')}, which the configuration does not name`
      : undefined,
    seen,
    fix,
  )
}

/** Checks that the list of connections, which Chromium and Edge enforce, has what the worker requests. */
const checkAllowlist = (deployment: Deployment, wanted: ResponseHeaders) => {
  const { report, config, origin, workerFile } = deployment
  const name = 'Connection-Allowlist'
  const id = 'worker.allowlist'
  const value = workerFile!.header(name)
  if (value === undefined) {
    report.unused(id, `without ${name}, only the policy limits the worker: the list also names paths`)
    return
  }
  const refused = config ? refusedBy(value, origin, addressesOf(deployment)) : []
  report.check(
    id,
    `${name} has what the worker requests`,
    refused.length ? `${name} stops the worker's requests to ${refused.join(' and ')}` : undefined,
    seenHeader(workerFile!, name),
    headerLine(wanted, name),
  )
}

/** Returns addresses that the worker requests: one of each rule, and the provider's endpoints. */
const addressesOf = ({ config, metadata, origin, worker = '/' }: Deployment): string[] => {
  const rules = config!.apis.flatMap(({ url, exact }) =>
    url.includes('*') ? [] : [new URL(url, origin + worker).href + (exact ? '' : 'doctor')],
  )
  const { token_endpoint, jwks_uri, revocation_endpoint } = metadata ?? {}
  const endpoints = [token_endpoint, config!.identity ? undefined : jwks_uri, revocation_endpoint]
  return [...rules, ...endpoints.filter((url) => url !== undefined)]
}

/** Returns true if a source admits a path of this origin. */
const admitsBelow = (sources: string[], base: string, origin: string) =>
  sources.some((source) => isWithin(source, base) && admits([source], source, origin))

const isWithin = (source: string, base: string) => source === base || source.startsWith(`${base}/`)

/** The seconds for which a browser may keep the worker's file: with a hint, it has just compared it. */
const MOMENT = 60

/** A hash in a file's name, as bundlers write it. */
const HASH = /[-.](?=[\w-]*[\dA-Z])[\w-]{8,}\.\w+$/

const checkCache = ({ report, worker = '', workerFile }: Deployment) => {
  const value = workerFile!.header('cache-control') ?? ''
  if (HASH.test(worker)) {
    report.ok('worker.cache', `the name of ${worker} has a hash`)
    return
  }
  const [, age] = /\bmax-age=(\d+)/i.exec(value) ?? []
  const isFresh = /\b(no-cache|no-store)\b/i.test(value) || (age !== undefined && Number(age) <= MOMENT)
  report.check(
    'worker.cache',
    'browsers do not go on with an outdated worker',
    isFresh ? undefined : 'after a deployment, browsers may go on with an outdated worker',
    seenHeader(workerFile!, 'Cache-Control'),
    noCache(worker),
  )
}

/** Returns the module's address in a worker's file. */
export const moduleUrl = (script: string, base: string): string | undefined => {
  const found = /["'`]([^"'`\s]*strongroom_bg[^"'`\s]*\.wasm)["'`]/.exec(script)
  return found && URL.canParse(found[1]!, base) ? new URL(found[1]!, base).href : undefined
}

/** Checks the module. */
const checkModule = async ({ report, requests, workerFile, page, origin, worker = '' }: Deployment) => {
  const url = moduleUrl(workerFile!.body, origin + worker)
  if (url === undefined) {
    report.unseen(
      'worker.module',
      "the worker's file does not name strongroom_bg.wasm, so its headers were not read",
    )
    return
  }
  const { pathname } = new URL(url)
  const headers = { 'Accept-Encoding': 'gzip, deflate, br' }
  const file = await requests.send(url, { headers })
  if (file.status !== 200 || /^\s*</.test(file.body)) {
    const fix = `let the server send strongroom_bg.wasm for ${pathname}`
    report.fault('worker.module', 'the WebAssembly module is missing', `${seenOf(file)} for ${pathname}`, fix)
    return
  }
  if (file.isPartial) {
    report.unseen('worker.module', `the module ${pathname} was not checked (${seenOf(file)})`)
    return
  }
  if (!WebAssembly.validate(file.bytes)) {
    report.fault(
      'worker.module',
      `what the server sends for ${pathname} is not a whole WebAssembly module`,
      `${file.bytes.length} bytes, which begin with ${JSON.stringify(file.body.slice(0, 8))}`,
      `let the server send the bytes of the file unchanged and to the end: not as text or base64, not a pointer of Git LFS, and with the Content-Encoding that they have (${file.header('content-encoding') ?? 'none'})`,
    )
    return
  }
  const type = file.header('content-type') ?? ''
  const typeFix = 'Content-Type: application/wasm (in mime.types of nginx: application/wasm wasm;)'
  if (/html/.test(type)) {
    const why = `${pathname} is a WebAssembly module and has the type of a page, so the vault does not start`
    report.fault('worker.module', why, seenHeader(file, 'Content-Type'), typeFix)
    return
  }
  report.checkSpeed(
    'worker.module',
    `${pathname} is a WebAssembly module`,
    /^application\/wasm$/i.test(type)
      ? undefined
      : `${pathname} is not application/wasm, so the browser compiles it only after its download`,
    seenHeader(file, 'Content-Type'),
    typeFix,
  )
  if (!isPrivateUrl(new URL(url))) checkCompression(report, file)
  const cache = file.header('cache-control') ?? ''
  const isHinted = `${page.header('link') ?? ''}${page.body}`.includes(pathname)
  const isKept = isHinted ? /max-age=[1-9]/i.test(cache) : !/no-store/i.test(cache)
  report.checkSpeed(
    'worker.module-cache',
    'browsers may keep the module',
    isKept
      ? undefined
      : isHinted
        ? 'the page has a hint, so each visit downloads the module twice'
        : 'each visit downloads the module again',
    seenHeader(file, 'Cache-Control'),
    HASH.test(pathname) ? 'Cache-Control: public, max-age=31536000, immutable' : 'Cache-Control: no-cache',
  )
}

/** Checks that the module is sent compressed. */
export const checkCompression = (report: Report, file: Reply): void => {
  report.checkSpeed(
    'worker.compression',
    'the module is compressed',
    file.header('content-encoding')
      ? undefined
      : 'the module is sent without compression, and is twice as long as it need be',
    seenHeader(file, 'Content-Encoding'),
    'compress application/wasm and text/javascript: in nginx, gzip_types application/wasm text/javascript;',
  )
}
