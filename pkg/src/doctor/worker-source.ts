/** The lines about the files of the origin that may become workers, or service workers. */
import { type Deployment, needsPath, registeredServiceWorker } from './deployment.js'
import { admits, admitsAll, isDynamic, permits, permitsWorkers, written } from './policy.js'
import { type Judged, wantedLine } from './policy-lines.js'
import { fault, ok, unused, type Verdict } from './report.js'
import { seenOf } from './requests.js'

/** Judges which files may become workers. */
export const workerSource = (of: Judged): Verdict => {
  const { policies, worker, started, origin, needsWorker, options, correction } = of
  if (!needsWorker)
    return unused(
      options.vaultFrame ? "the worker is on the vault's origin" : 'a token handler is in place of a worker',
    )
  const isSource = (test: (source: string) => boolean) =>
    permitsWorkers(policies, (sources) => sources.some(test))
  const mayStart = (path: string) =>
    permitsWorkers(policies, (sources) => admits(sources, origin + path, origin))
  const isAny = isSource((one) => /^(blob|data):$/.test(one))
  if (policies.some(isDynamic) && permitsWorkers(policies, (sources) => admitsAll(sources, origin)))
    return ok(
      `'strict-dynamic' lets every script become a worker${isAny ? ', also one of a blob: URL' : ''}: worker-src with the worker's file is stricter`,
    )
  const seen = written(policies, 'worker-src')
  const bad = (why: string) =>
    fault(
      why,
      seen,
      worker === undefined ? needsPath('worker-src with this file') : wantedLine(of, 'worker-src'),
    )
  if (permits(policies, 'worker-src', (sources) => admitsAll(sources, origin)))
    return bad('every file of the origin may become a worker, also an uploaded one')
  if (!isSource((one) => one === "'self'" || !one.startsWith("'"))) {
    const why = /'(nonce-|sha\d)/.test(seen) ? ': a nonce or a hash does not count for workers' : ''
    return bad(`no file may become a worker${why}`)
  }
  if (isAny) return bad('script in the page can start a worker with code of its own')
  if (worker !== undefined && !mayStart(worker)) return bad(`worker-src does not permit ${origin}${worker}`)
  if (started !== undefined && !mayStart(started)) {
    const why = `the page's scripts start ${started}, which worker-src does not permit`
    return fault(why, seen, correction.set(`worker-src ${origin}${started}`))
  }
  return ok(`${seen}: no other file may become a worker`)
}

const HEADERS = {
  'Service-Worker': 'script',
  'Sec-Fetch-Dest': 'serviceworker',
  'Sec-Fetch-Mode': 'same-origin',
}

/**
 * Judges whether script can register a file as a service worker. That service worker would see the vault's requests, or
 * the response to a login that script has begun.
 */
export const serviceWorker = async (deployment: Deployment): Promise<Verdict> => {
  const { requests, policies, origin, page, worker, options, needsWorker } = deployment
  if (!needsWorker && options.vaultFrame)
    return unused(
      "the vault's origin is another one, whose requests a service worker of this one does not see",
    )
  // The server must have a file at a tested path, because it refuses only what it would otherwise send. A rule of the
  // server may be for one path only, so two paths are tested.
  if (worker !== undefined) deployment.workerFile ??= await requests.send(origin + worker)
  const named = deployment.workerFile?.status === 200 ? worker! : new URL(page.url).pathname
  const [script] = deployment.scripts
  const paths = [...new Set([named, ...(script ? [new URL(script.url).pathname] : [])])]
  const replies = await Promise.all(
    paths.map(async (path) => ({
      path,
      reply: await requests.send(origin + path, { headers: HEADERS, readsBody: false }),
    })),
  )
  const { path, reply } = replies.find(({ reply }) => reply.status < 400) ?? replies[0]!
  if (reply.status >= 400)
    return ok(
      `the server refuses the registration of ${paths.join(' and ')} as a service worker (${reply.status})`,
    )
  if (!permitsWorkers(policies, (sources) => admitsAll(sources, origin)))
    return ok(`${written(policies, 'worker-src')}: no other file can be registered as a service worker`)
  const own = registeredServiceWorker(deployment)
  const but = own === undefined ? '' : `, except for ${own}`
  const sees = needsWorker ? 'the tokens' : 'the response to a login that script has begun'
  return fault(
    `script in the page can register a service worker, which sees ${sees}`,
    `${seenOf(reply)} for ${path} with Service-Worker: script`,
    `respond with 403 to requests with the header Service-Worker: script${but}`,
  )
}
