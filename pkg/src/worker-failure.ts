/**
 * Explains why a worker's script did not run. A file of its own, which a page loads when that happens: browsers fire an
 * `error` event that says nothing, and a worker object does not have its URL.
 */

/** Milliseconds that a worker's file that threw has to give its own reason, which comes by the port. */
const PATIENCE = 1000

/** Milliseconds for all requests. */
const TIME_LIMIT = 5000

/** Milliseconds after which an entry of the performance timeline that has not come does not come. */
const ENTRY_DELAY = 300

/** Most files that are looked at: the worker's own, and those that it imports. */
const MAX_FILES = 20

const AS_ONE =
  "write new SharedWorker(new URL('./auth.worker.ts', import.meta.url), …) as one expression, by which bundlers find the file and compile it"

/**
 * Resolves with what happened.
 *
 * @param event The worker's `error` event. A vault's frame has looked itself, and sends a `CustomEvent` with the result.
 * @param make What `connect()` was given. Only a function that makes the worker can be asked for its URL.
 */
export const explain = async (event: Event | undefined, make: unknown): Promise<string> => {
  if (event instanceof CustomEvent) return event.detail
  const { message, filename, lineno } = (event ?? {}) as Partial<ErrorEvent>
  if (message) {
    await new Promise((resolve) => setTimeout(resolve, PATIENCE))
    return `the worker's file threw: ${message} (${filename}:${lineno})`
  }
  if (typeof make !== 'function') {
    return "the worker's script could not be loaded or run; pass connect() a function that makes the worker, and this error says why"
  }
  const url = urlMadeBy(make as () => unknown)
  if (!url) return ''
  return (
    (await faultOf(url, new Set(), AbortSignal.timeout(TIME_LIMIT))) ??
    `${withoutQuery(url)} can be loaded, but does not run: it has a syntax error, or a shared worker from it is running with other options, or a policy forbids it`
  )
}

/** The URL of the worker that this function makes: it is called with constructors that make none. */
const urlMadeBy = (make: () => unknown): string | undefined => {
  let url: string | undefined
  class Stub extends EventTarget {
    readonly port = new MessageChannel().port1
    constructor(address: string | URL) {
      super()
      url ??= new URL(address, document.baseURI).href
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
    // It may want more of the worker than a stub has.
  } finally {
    names.forEach((name, i) => (scope[name] = genuine[i]))
  }
  return url
}

/** What is wrong with the script at `url`, or with one that it imports. */
const faultOf = async (url: string, seen: Set<string>, signal: AbortSignal): Promise<string | undefined> => {
  if (seen.has(url) || seen.size === MAX_FILES) return
  seen.add(url)
  if (url.startsWith('data:')) {
    return `the worker's URL is a data: URL, in which a bundler has put the file as it is: ${AS_ONE}`
  }
  const name = withoutQuery(url)
  const raw = `${name} is TypeScript as it was written: ${AS_ONE}`
  const isTypeScript = /\.[cm]?tsx?$/.test(name)
  const file = (await read(url, signal)) ?? (await preload(url, signal))
  if (!file) {
    return isTypeScript ? raw : `${name} could not be loaded or run, and the page cannot look at it`
  }
  const { status, type, source } = file
  if (status < 200 || status > 299) return `${name} was not found: it is answered with ${status}`
  if (/html/.test(type) || source.trimStart().startsWith('<')) {
    return `${name} is answered with HTML instead of JavaScript, as many servers do for files that are not there`
  }
  if (!/(java|ecma)script/.test(type)) {
    return isTypeScript ? raw : `${name} is served as '${type}', which browsers do not run`
  }
  for (const [, , specifier] of source.matchAll(IMPORT)) {
    if (!/^(\.{0,2}\/|[\w+.-]+:)/.test(specifier!)) {
      return `${name} imports '${specifier}', a bare name that browsers do not resolve in a worker: bundle the file (${AS_ONE})`
    }
    const fault = await faultOf(new URL(specifier!, url).href, seen, signal)
    if (fault) return fault
  }
  return
}

interface File {
  status: number
  type: string
  /** Empty if it cannot be read. */
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

/** Where the page's policy forbids requests, but allows scripts: a preloaded one does not run. */
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
      // Not every engine reports them.
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

/** Static imports and re-exports, minified or not. */
const IMPORT = /(?:^|[;}\n])\s*(?:import|export)(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/g

const withoutQuery = (url: string): string => url.replace(/[?#][^]*/, '')
