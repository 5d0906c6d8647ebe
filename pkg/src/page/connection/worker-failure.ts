/**
 * Explains why a worker's script did not run. Browsers fire an `error` event without a reason, and a worker object does
 * not have its URL. A page loads this file only when a worker fails.
 */
import { blocksData } from '../auth/create-worker.js'
import { listen } from '../listen.js'
import type { Refusals } from './refused-worker.js'
import { decidingFor, parsePolicy } from '../../protocol/content-policy.js'
import { HANDSHAKE } from '../../protocol/messages.js'
import { timeoutSignal } from '../../protocol/signals.js'

/** Milliseconds in which a worker whose file threw may still send its own reason through the port. */
const REASON_DELAY = 1000

/** Milliseconds that all requests together may take. */
const TIME_LIMIT = 5000

/** Milliseconds to wait for an entry of the performance timeline, or for a report of the browser. */
const ENTRY_DELAY = 300

/** The maximum number of files that are checked: the worker's own file, and the files that it imports. */
const MAX_FILES = 20

const AS_ONE =
  "write new SharedWorker(new URL('./auth.worker.ts', import.meta.url), …) as one expression, by which bundlers find the file and compile it"

const OF_A_GATE = 'as by a gate that asks users to sign in: let the gate pass this file'

const NOT_OF_TYPE = "uses import, but the worker was made without { type: 'module' }: add it"

const BLOCKED = 'an extension of the browser blocks it, or the connection failed'

/** Matches the syntax errors of all engines for `import` in a classic script. */
const NO_MODULE = /SyntaxError: .*(\b(im|ex)port\b.*\bmodules?\b|import call)/

/**
 * Resolves with an explanation, or with an empty string.
 *
 * @param event The worker's `error` event, or `undefined` if the worker's constructor has thrown. A vault's frame finds
 *   the reason itself, and sends a `CustomEvent` with the explanation.
 * @param make The argument `worker` of `connect()`. Only a function that makes the worker reveals the worker's URL.
 */
export const explain = async (
  event: Event | undefined,
  make: unknown,
  refusals: Refusals,
): Promise<string> => {
  if (event instanceof CustomEvent) return event.detail
  const { message, filename, lineno } = (event ?? {}) as Partial<ErrorEvent>
  if (message && NO_MODULE.test(message)) return `${withoutQuery(filename!)} ${NOT_OF_TYPE}`
  if (message) {
    await pause(REASON_DELAY)
    return `the worker's file threw: ${message} (${filename}:${lineno})`
  }
  if (typeof make !== 'function') {
    return "the worker's script could not be loaded or run; pass connect() a function that makes the worker, and this error says why"
  }
  const worker = workerMadeBy(make as () => unknown)
  if (!worker) return ''
  const signal = timeoutSignal(TIME_LIMIT)
  const name = withoutQuery(worker.url)
  if (worker.isShared && blocksData())
    return `this browser blocks this site's data, and then does not start ${name} as a shared worker: give createAuth() a dedicated worker, too`
  if (!event) await pause(ENTRY_DELAY)
  const known = refusal(worker.url, refusals) ?? (await reported(worker.url))
  if (known) return known
  const { fault, note } = await look(worker, signal)
  if (fault) return fault + note
  return worker.isShared && (await runs(worker, signal))
    ? `${name} is running already, with other options (type, credentials or extendedLifetime), with which a script or another tab of this origin has started it first: use the same options everywhere, and close the other tabs`
    : `${name} can be loaded, but does not run: it has a syntax error, a policy forbids it, or an extension of the browser blocks it${note}`
}

/**
 * Explains why the constructor of the worker has thrown. Resolves with an empty string if it was not the page's policy:
 * then the error itself says why.
 */
export const explainRefusal = async (make: () => unknown, refusals: Refusals): Promise<string> => {
  await pause(ENTRY_DELAY)
  // The app's function is called again only if there is something to explain.
  const worker = refusals.size ? workerMadeBy(make) : undefined
  return (worker && refusal(worker.url, refusals)) ?? ''
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Returns what the page's policy says about the worker at `url`, or `undefined` if the policy has not refused it. */
const refusal = (url: string, refusals: Refusals): string | undefined => {
  const refused = refusals.get(url.startsWith('blob:') ? 'blob' : url.replace(/#.*/, ''))
  if (!refused) return
  // The event names worker-src also if the policy has none, and another directive decides.
  const policy = parsePolicy(refused.originalPolicy)
  const name = decidingFor(policy, 'worker-src')
  // A nonce does not help the reader, and each page has a new one.
  const sources = policy
    .get(name!)
    ?.join(' ')
    .replace(/'nonce-[^']*'/g, "'nonce-…'")
    .slice(0, 200)
  const [before, remedy] =
    name === 'worker-src'
      ? ['', 'add the file to it']
      : ['it has no worker-src, and ', 'add worker-src with the file']
  return `the page's policy forbids ${withoutQuery(url)}: ${before}its ${name} is "${sources}"; ${remedy}`
}

interface Made {
  url: string
  isModule: boolean
  isShared: boolean
}

/**
 * Returns the worker that `make` creates, or `undefined` if `make` creates no worker synchronously. Calls `make` while
 * stubs, which create no worker, replace the constructors of workers.
 */
const workerMadeBy = (make: () => unknown): Made | undefined => {
  let made: Made | undefined
  class Stub extends EventTarget {
    readonly port = new MessageChannel().port1
    constructor(address: string | URL, options?: WorkerOptions) {
      super()
      made ??= {
        url: new URL(address, document.baseURI).href,
        isModule: options?.type === 'module',
        isShared: new.target === (scope.SharedWorker as unknown),
      }
    }
    postMessage() {}
    terminate() {}
  }
  const scope = globalThis as unknown as Record<string, unknown>
  const names = ['Worker', 'SharedWorker'].filter((name) => name in scope)
  const genuine = names.map((name) => scope[name])
  // Each constructor has a stub of its own.
  for (const name of names) scope[name] = class extends Stub {}
  // Errors are ignored, because the function may use members of a worker that a stub lacks.
  try {
    Promise.resolve(make()).catch(() => {})
  } catch {
  } finally {
    names.forEach((name, i) => (scope[name] = genuine[i]))
  }
  return made
}

/**
 * Resolves with the reason if the browser reports that the worker's file lacks Cross-Origin-Embedder-Policy, which only
 * Chromium does.
 */
const reported = (url: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    if (!('ReportingObserver' in globalThis)) return resolve(undefined)
    const read = (reports: Report[]) => {
      for (const { body } of reports) {
        // Some bodies have their members in JSON only.
        const { blockedURL, disposition } = (body as Body | null)?.toJSON() ?? {}
        if (disposition === 'enforce' && blockedURL === url.replace(/#.*/, '')) resolve(lacksPolicy(url))
      }
    }
    const observer = new ReportingObserver(read, { types: ['coep'], buffered: true })
    observer.observe()
    setTimeout(() => {
      observer.disconnect()
      resolve(undefined)
    }, ENTRY_DELAY)
  })

interface Body {
  toJSON(): { blockedURL?: string; disposition?: string }
}

const lacksPolicy = (url: string): string =>
  `${withoutQuery(url)} is served without Cross-Origin-Embedder-Policy, which the page has: send 'require-corp' with the file, too`

/**
 * Resolves with true if a dedicated worker with the same file and type runs the vault's code. The dedicated worker ends at
 * once.
 */
const runs = ({ url, isModule }: Made, signal: AbortSignal): Promise<boolean> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(url, { type: isModule ? 'module' : 'classic' })
    const end = (isRunning: boolean) => {
      worker.terminate()
      port1.close()
      resolve(isRunning)
    }
    // The vault's code responds at once with the name of its lock.
    port1.onmessage = () => end(true)
    worker.onerror = () => end(false)
    signal.addEventListener('abort', () => end(false))
    worker.postMessage(HANDSHAKE, [port2])
  })

/**
 * Finds out what is wrong with the worker's files. If the page's policy refuses a request for this, the browser prints a
 * line that looks like the cause, so `note` says that it is not.
 */
const look = async (
  worker: Made,
  signal: AbortSignal,
): Promise<{ fault?: string | undefined; note: string }> => {
  const seen = new Set<string>()
  const refused = new Set<string>()
  const stop = listen(document, 'securitypolicyviolation', (event: SecurityPolicyViolationEvent) => {
    if (seen.has(event.blockedURI)) refused.add(event.effectiveDirective)
  })
  const fault = await findFault(worker, worker.url, seen, signal)
  // The event comes after the request has failed.
  await pause(ENTRY_DELAY)
  stop()
  if (!refused.size) return { fault, note: '' }
  const names = [...refused].join(' and ')
  if (!fault?.includes(BLOCKED))
    return { fault, note: ` (the console's lines about ${names} come from the search for this reason)` }
  const name = withoutQuery(worker.url)
  const why = `${name} does not run, and the page's policy (${names}) lets the page read nothing about it`
  return {
    fault: `${why}: open the file's address in a tab. If it shows JavaScript, look for a syntax error; if not, correct the server`,
    note: '',
  }
}

/**
 * Finds out what is wrong with the script at `url`, which is the script of `worker` or one that it imports. Resolves with
 * `undefined` if nothing is found.
 */
const findFault = async (
  worker: Made,
  url: string,
  seen: Set<string>,
  signal: AbortSignal,
): Promise<string | undefined> => {
  if (seen.has(url) || seen.size === MAX_FILES) return
  seen.add(url)
  if (url.startsWith('data:')) {
    return `the worker's URL is a data: URL, into which a bundler has put the source file as it is: ${AS_ONE}`
  }
  const name = withoutQuery(url)
  const raw = `${name} is a TypeScript source file, which was not compiled: ${AS_ONE}`
  const isTypeScript = /\.[cm]?tsx?$/.test(name)
  // The page's policy often allows no request, and each request that it refuses adds a line to the console, which looks
  // like the cause. A preload needs only script-src.
  const preloaded = await preload(url, signal)
  const file = preloaded && isRefused(preloaded) ? preloaded : ((await read(url, signal)) ?? preloaded)
  if (!file) {
    return isTypeScript ? raw : `the page cannot request ${name}: ${BLOCKED}`
  }
  const { status, type, source, redirectedTo, hasEmbedderPolicy } = file
  if (redirectedTo === '') return `${name} is redirected to another origin, ${OF_A_GATE}`
  if (status > 499) return `${name} was not served: the server responds with ${status}; check its log`
  if (status < 200 || status > 299) return `${name} was not found: the server responds with ${status}`
  if (/html/.test(type) || source.trimStart().startsWith('<')) {
    if (redirectedTo)
      return `${name} is redirected to ${withoutQuery(redirectedTo)}, which is HTML, ${OF_A_GATE}`
    return `${name} is HTML instead of JavaScript, which many servers send for files that do not exist`
  }
  if (!/(java|ecma)script/.test(type)) {
    return isTypeScript ? raw : `${name} is served as '${type}', which browsers do not run`
  }
  // Other files than the worker's own need no header, and neither does the file of a shared worker.
  if (seen.size === 1 && !worker.isShared && crossOriginIsolated && hasEmbedderPolicy === false)
    return lacksPolicy(url)
  if (!worker.isModule && (source.match(IMPORT) || source.includes('import.meta')))
    return `${name} ${NOT_OF_TYPE}`
  for (const [, , specifier] of source.matchAll(IMPORT)) {
    if (!/^(\.{0,2}\/|[\w+.-]+:)/.test(specifier!)) {
      return `${name} imports '${specifier}', a bare name that browsers do not resolve in a worker: bundle the file (${AS_ONE})`
    }
    const fault = await findFault(worker, new URL(specifier!, url).href, seen, signal)
    if (fault) return fault
  }
  return
}

interface File {
  status: number
  type: string
  /** Empty if the source cannot be read. */
  source: string
  /** The URL to which the server redirects the request. Empty if the page cannot request it: it has another origin. */
  redirectedTo?: string | undefined
  /** True if a preload was redirected, which does not tell to which URL. */
  isRedirected?: boolean
  /** True if the file has the header Cross-Origin-Embedder-Policy. `undefined` if the headers cannot be read. */
  hasEmbedderPolicy?: boolean
}

/** Returns true if a preloaded file is not a script, so that its source adds nothing. */
const isRefused = ({ status, type, isRedirected }: File) =>
  !isRedirected && (status > 299 || /html/.test(type))

const read = async (url: string, signal: AbortSignal): Promise<File | undefined> => {
  try {
    let response = await fetch(url, { signal, redirect: 'manual' })
    const isRedirected = response.type === 'opaqueredirect'
    if (isRedirected) response = await fetch(url, { signal }).catch(() => response)
    const { status, headers } = response
    return {
      status,
      type: headers.get('content-type') ?? '',
      source: await response.text(),
      redirectedTo: !isRedirected ? undefined : response.redirected ? response.url : '',
      hasEmbedderPolicy: headers.has('cross-origin-embedder-policy'),
    }
  } catch {
    return
  }
}

/**
 * Resolves with the status and type of a script, which the browser preloads and does not run. Resolves with `undefined`
 * where the page's policy allows no script (Firefox), or the engine reports no status (WebKit).
 */
const preload = (url: string, signal: AbortSignal): Promise<File | undefined> =>
  new Promise((resolve) => {
    const link = document.createElement('link')
    const end = (file?: File) => {
      observer.disconnect()
      link.remove()
      resolve(file)
    }
    const observer = new PerformanceObserver((list) => {
      const [entry] = list.getEntriesByName(url)
      // Not every engine reports these values.
      const { responseStatus, contentType, redirectStart } = (entry ?? {}) as Reported
      if (responseStatus)
        end({
          status: responseStatus,
          type: contentType ?? 'text/javascript',
          source: '',
          isRedirected: !!redirectStart,
        })
    })
    observer.observe({ type: 'resource' })
    link.onerror = link.onload = () => setTimeout(end, ENTRY_DELAY)
    signal.addEventListener('abort', () => end())
    link.rel = 'modulepreload'
    // A policy with a nonce allows only links that have it.
    link.nonce = document.querySelector<HTMLScriptElement>('script[nonce]')?.nonce ?? ''
    link.href = url
    document.head.append(link)
  })

interface Reported {
  responseStatus?: number
  contentType?: string
  redirectStart?: number
}

/** Matches static imports and re-exports, in minified code too. */
const IMPORT = /(?:^|[;}\n])\s*(?:import|export)(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/g

const withoutQuery = (url: string): string => url.replace(/[?#][^]*/, '')
