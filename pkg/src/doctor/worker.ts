/** The lines about the worker's file. */
import { otherDeletion } from './clear-site-data.js'
import { refusedBy } from './connection-allowlist.js'
import { type Deployment, generated, headerLine, isIsolated, noCache, policiesOf } from './deployment.js'
import { noSniff } from './nosniff.js'
import {
  admits,
  isAnywhere,
  opensCode,
  parsePolicies,
  permits,
  permitsSome,
  sourcesOf,
  written,
  type Policy,
} from './policy.js'
import { directive, type Judged, judgePolicies, wantedLine } from './policy-lines.js'
import { check, fault, ok, type Rows, unused, type Verdict } from './report.js'
import { type Reply, seenHeader, seenOf } from './requests.js'
import { checkModule, HASH } from './worker-module.js'

/** A deployment whose worker's file was read. */
interface Loaded extends Deployment {
  worker: string
  workerFile: Reply
}

/** Checks the worker's file. */
export const checkWorker = async (deployment: Deployment): Promise<void> => {
  const { report, requests, origin, worker, needsWorker } = deployment
  const id = 'worker.file'
  if (!needsWorker) return report.unused(id, 'a token handler is in place of a worker')
  if (worker === undefined)
    return report.unseen(
      id,
      "the worker's file is not known: name it with --worker, such as --worker /auth.worker.js",
    )
  const workerFile = (deployment.workerFile ??= await requests.send(origin + worker))
  const verdict = script(workerFile, worker)
  report.add(id, verdict)
  if (verdict.result === 'fault') return
  const loaded = { ...deployment, worker, workerFile, policies: policiesOf(workerFile) }
  report.add('worker.data', otherDeletion(worker, workerFile))
  await judgePolicy(loaded)
  await report.judge(HEADERS, loaded)
  await checkModule(deployment, workerFile)
}

/** Judges whether the response is a script. */
const script = (file: Reply, worker: string): Verdict => {
  const type = file.header('content-type') ?? ''
  if (file.status === 200 && /^(text|application)\/(x-)?(java|ecma)script *(;|$)/i.test(type))
    return ok(`${worker} is a script`)
  const seen = `${seenOf(file)} for ${worker}`
  if (file.failure !== undefined)
    return fault("the server does not respond with the worker's file", seen, "look at the server's log")
  return fault(
    "the worker's file is not a script",
    seen,
    file.status === 200 && !/html/.test(type)
      ? 'Content-Type: text/javascript; charset=utf-8'
      : `let the server send the worker's file for ${worker}, not a page, or correct worker-src, if the page starts another file (--worker PATH)`,
  )
}

const POLICY = 'Content-Security-Policy'

/** Returns true if policies let the worker run WebAssembly. */
const compiles = (policies: Policy[]) =>
  permitsSome(policies, 'script-src', (one) => one === "'wasm-unsafe-eval'" || one === "'unsafe-eval'")

/** Judges the policy of the worker's file. */
const judgePolicy = async (loaded: Loaded): Promise<void> => {
  const { report, config, policies, workerFile } = loaded
  const id = 'worker.policy'
  const wanted = generated(loaded).worker
  const line = headerLine(wanted, POLICY)
  if (!policies.length) {
    const why = 'the worker may send requests anywhere: it does not inherit the policy of the page'
    const fix = config ? line : `${line} (with the origins of provider and APIs)`
    return report.fault(id, why, `no ${POLICY}`, fix)
  }
  if (!compiles(policies) && policies.some((one) => compiles([one]))) {
    const why = `the worker's file has ${policies.length} policies, and browsers enforce all of them`
    return report.fault(id, why, workerFile.header(POLICY) ?? '', `only this one: ${line}`)
  }
  report.ok(id, "the worker's file has a policy of its own")
  return judgePolicies(loaded, 'worker', parsePolicies(wanted[POLICY])[0]!, ROWS)
}

/** Judges whether the worker may connect to what the configuration names, and to nothing else. */
const connections = (of: Judged): Verdict => {
  const { policies, config, origin, wanted } = of
  const name = 'connect-src'
  const seen = written(policies, name)
  const bad = (why: string) => fault(why, seen, wantedLine(of, name))
  if (permitsSome(policies, name, isAnywhere)) return bad('the worker may send requests anywhere')
  if (!config) return ok(`${seen}: the worker may send requests nowhere else`)
  const named = (wanted.get(name) ?? []).map((one) => (one === "'self'" ? origin : one))
  // A source with a path permits nothing but this path, and what is below it only if it ends with a slash.
  const permitsUrl = (url: string) => permits(policies, name, (sources) => admits(sources, url, origin))
  const permitsBelow = (base: string) =>
    permits(policies, name, (sources) =>
      sources.some(
        (one) => admits([one], `${base}/`, origin) || (isWithin(one, base) && admits([one], one, origin)),
      ),
    )
  const blocked = named.filter((one) => !permitsBelow(one))
  for (const url of addressesOf(of))
    if (!blocked.some((one) => url.startsWith(`${one}/`)) && !permitsUrl(url)) blocked.push(url)
  if (blocked.length) return bad(`the policy blocks the worker's requests to ${blocked.join(' and ')}`)
  const sources = new Set(policies.flatMap((one) => sourcesOf(one, name) ?? []))
  const more = [...sources].filter(
    (source) => source !== "'self'" && !named.some((one) => isWithin(source, one)),
  )
  return more.length
    ? bad(`the policy permits ${more.join(' and ')}, which the configuration does not name`)
    : ok('the worker may send requests to the provider and the APIs, and nowhere else')
}

/** Judges whether `Connection-Allowlist`, which Chromium and Edge enforce, allows the worker's requests. */
const allowlist = (of: Judged): Verdict => {
  const { config, origin, workerFile } = of
  const name = 'Connection-Allowlist'
  const value = workerFile!.header(name)
  if (value === undefined)
    return unused(`without ${name}, only the policy limits the worker: the list also names paths`)
  const refused = config ? refusedBy(value, origin, addressesOf(of)) : []
  return check(
    `${name} has what the worker requests`,
    refused.length > 0 && `${name} stops the worker's requests to ${refused.join(' and ')}`,
    seenHeader(workerFile!, name),
    headerLine(generated(of).worker, name),
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

const isWithin = (source: string, base: string) => source === base || source.startsWith(`${base}/`)

const ROWS: Rows<Judged> = {
  'worker.wasm-unsafe-eval': directive('script-src', {
    good: 'the worker may run WebAssembly',
    bad: "script-src lacks 'wasm-unsafe-eval', so the core cannot start",
    isBad: (policies) => !compiles(policies),
  }),
  'worker.script-src': (of) => {
    const opening = opensCode(of.policies, isAnywhere)
    return check(
      'the worker runs only scripts of the app',
      opening && 'the worker may run code from elsewhere',
      written(of.policies, opening ?? 'script-src'),
      wantedLine(of, 'script-src'),
    )
  },
  'worker.connect-src': connections,
  'worker.allowlist': allowlist,
}

/** The seconds for which a browser may keep the worker's file: with a hint, it has just compared it. */
const MOMENT = 60

const cache = ({ worker, workerFile }: Loaded): Verdict => {
  const name = 'Cache-Control'
  if (HASH.test(worker)) return ok(`the name of ${worker} has a hash`)
  const value = workerFile.header(name) ?? ''
  const [, age] = /\bmax-age=(\d+)/i.exec(value) ?? []
  const isFresh = /\b(no-cache|no-store)\b/i.test(value) || (age !== undefined && Number(age) <= MOMENT)
  return check(
    'browsers do not go on with an outdated worker',
    !isFresh && 'after a deployment, browsers may go on with an outdated worker',
    seenHeader(workerFile, name),
    noCache(worker),
  )
}

const embedder = (loaded: Loaded): Verdict => {
  const name = 'Cross-Origin-Embedder-Policy'
  if (!isIsolated(loaded)) return unused('the page is not cross-origin isolated')
  return check(
    "the worker's file has the page's Cross-Origin-Embedder-Policy",
    !loaded.workerFile.header(name) && 'an isolated page cannot start a worker without this header',
    seenHeader(loaded.workerFile, name),
    `${name}: require-corp`,
  )
}

const HEADERS: Rows<Loaded> = {
  'worker.cache': cache,
  'worker.nosniff': ({ workerFile }) => noSniff(workerFile),
  'worker.embedder': embedder,
}
