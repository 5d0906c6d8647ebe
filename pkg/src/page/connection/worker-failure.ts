/**
 * Explains why a worker's script did not run. Browsers fire an `error` event without a reason, and a worker object does
 * not have its URL. A page loads this file only when a worker fails.
 */

/** Milliseconds in which a worker whose file threw may still send its own reason through the port. */
const REASON_DELAY = 1000

/** Milliseconds that all requests together may take. */
const TIME_LIMIT = 5000

/** Milliseconds to wait for an entry of the performance timeline. */
const ENTRY_DELAY = 300

/** The maximum number of files that are checked: the worker's own file, and the files that it imports. */
const MAX_FILES = 20

const AS_ONE =
  "write new SharedWorker(new URL('./auth.worker.ts', import.meta.url), …) as one expression, by which bundlers find the file and compile it"

const NOT_OF_TYPE = "uses import, but the worker was made without { type: 'module' }: add it"

/** Matches the syntax errors of all engines for `import` in a classic script. */
const NO_MODULE = /SyntaxError: .*(\b(im|ex)port\b.*\bmodules?\b|import call)/

/**
 * Resolves with an explanation, or with an empty string.
 *
 * @param event The worker's `error` event. A vault's frame finds the reason itself, and sends a `CustomEvent` with the
 *   explanation.
 * @param make The argument `worker` of `connect()`. Only a function that makes the worker reveals the worker's URL.
 */
export const explain = async (event: Event | undefined, make: unknown): Promise<string> => {
  if (event instanceof CustomEvent) return event.detail
  const { message, filename, lineno } = (event ?? {}) as Partial<ErrorEvent>
  if (message && NO_MODULE.test(message)) return `${withoutQuery(filename!)} ${NOT_OF_TYPE}`
  if (message) {
    await new Promise((resolve) => setTimeout(resolve, REASON_DELAY))
    return `the worker's file threw: ${message} (${filename}:${lineno})`
  }
  if (typeof make !== 'function') {
    return "the worker's script could not be loaded or run; pass connect() a function that makes the worker, and this error says why"
  }
  const { url, isModule } = workerMadeBy(make as () => unknown)
  if (!url) return ''
  return (
    (await findFault(url, isModule, new Set(), AbortSignal.timeout(TIME_LIMIT))) ??
    `${withoutQuery(url)} can be loaded, but does not run: it has a syntax error, or a shared worker from it is running with other options, or a policy forbids it`
  )
}

/**
 * Returns URL and type of the worker that `make` creates. The URL is missing if `make` creates no worker synchronously.
 * Calls `make` while stubs, which create no worker, replace the constructors of workers.
 */
const workerMadeBy = (make: () => unknown): { url?: string; isModule: boolean } => {
  let url: string | undefined
  let isModule = false
  class Stub extends EventTarget {
    readonly port = new MessageChannel().port1
    constructor(address: string | URL, options?: WorkerOptions) {
      super()
      if (url) return
      url = new URL(address, document.baseURI).href
      isModule = options?.type === 'module'
    }
    postMessage() {}
    terminate() {}
  }
  const scope = globalThis as unknown as Record<string, unknown>
  const names = ['Worker', 'SharedWorker'].filter((name) => name in scope)
  const genuine = names.map((name) => scope[name])
  for (const name of names) scope[name] = Stub
  try {
    make()
  } catch {
    // The error is ignored, because the function may use members of a worker that a stub lacks.
  } finally {
    names.forEach((name, i) => (scope[name] = genuine[i]))
  }
  return { url, isModule }
}

/**
 * Finds out what is wrong with the script at `url`, or with a script that it imports. Resolves with `undefined` if
 * nothing is found. `isModule` is the type with which the worker was made.
 */
const findFault = async (
  url: string,
  isModule: boolean,
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
  const file = (await read(url, signal)) ?? (await preload(url, signal))
  if (!file) {
    return isTypeScript ? raw : `${name} could not be loaded or run, and the page cannot look at it`
  }
  const { status, type, source } = file
  if (status > 499) return `${name} was not served: the server responds with ${status}; check its log`
  if (status < 200 || status > 299) return `${name} was not found: the server responds with ${status}`
  if (/html/.test(type) || source.trimStart().startsWith('<')) {
    return `${name} is HTML instead of JavaScript, which many servers send for files that do not exist`
  }
  if (!/(java|ecma)script/.test(type)) {
    return isTypeScript ? raw : `${name} is served as '${type}', which browsers do not run`
  }
  if (!isModule && (source.match(IMPORT) || source.includes('import.meta'))) return `${name} ${NOT_OF_TYPE}`
  for (const [, , specifier] of source.matchAll(IMPORT)) {
    if (!/^(\.{0,2}\/|[\w+.-]+:)/.test(specifier!)) {
      return `${name} imports '${specifier}', a bare name that browsers do not resolve in a worker: bundle the file (${AS_ONE})`
    }
    const fault = await findFault(new URL(specifier!, url).href, isModule, seen, signal)
    if (fault) return fault
  }
  return
}

interface File {
  status: number
  type: string
  /** Empty if the source cannot be read. */
  source: string
}

const read = async (url: string, signal: AbortSignal): Promise<File | undefined> => {
  try {
    const response = await fetch(url, { signal })
    const type = response.headers.get('content-type') ?? ''
    return { status: response.status, type, source: await response.text() }
  } catch {
    return
  }
}

/**
 * Reads a script by preloading it, if the page's policy forbids requests but allows scripts. The script does not run.
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
      const { responseStatus, contentType } = (entry ?? {}) as Reported
      if (responseStatus) end({ status: responseStatus, type: contentType ?? 'text/javascript', source: '' })
    })
    observer.observe({ type: 'resource' })
    link.onerror = link.onload = () => setTimeout(end, ENTRY_DELAY)
    signal.addEventListener('abort', () => end())
    link.rel = 'modulepreload'
    link.href = url
    document.head.append(link)
  })

interface Reported {
  responseStatus?: number
  contentType?: string
}

/** Matches static imports and re-exports, in minified code too. */
const IMPORT = /(?:^|[;}\n])\s*(?:import|export)(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/g

const withoutQuery = (url: string): string => url.replace(/[?#][^]*/, '')
