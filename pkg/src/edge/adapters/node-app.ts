/** The common part of the adapters for apps on Node. */
import type { RequestHandler } from '../handler.js'
import { QUICK } from '../../../glue/constants.js'
import { PRIVATE, type RequestAuth, tooLate } from '../request-auth.js'
import { cacheControl, isForCaches } from '../caches.js'
import { envOf, type RequestLocals, sessionOf } from './framework.js'
import {
  type NodeListener,
  type NodeListenerOptions,
  type NodeRequest,
  type NodeResponse,
  toNodeListener,
} from './node.js'
import { headersOf, originOf, SERVES_PAGES, targetOf } from './node-request.js'

/** The functions that stop a server: see `NodeListener`. */
export type Stoppable = Pick<NodeListener, 'settled' | 'stop'>

/** Returns the listener, and a function that returns what the app gets for a request that the listener has passed on. */
export const nodeApp = (handler: RequestHandler, options: NodeListenerOptions) => {
  const ofAdapter = { ...options, [SERVES_PAGES]: true }
  const listener = toNodeListener(handler, ofAdapter)
  const env = envOf(options)
  const locals = (incoming: NodeRequest, outgoing: ReadableResponse): RequestLocals => {
    // The listener has refused requests without a usable host or target.
    const url = (options.origin ?? originOf(incoming)!) + targetOf(incoming)!
    const request = {
      method: incoming.method ?? 'GET',
      url,
      headers: headersOf(incoming),
      signal: {
        get aborted() {
          return outgoing.destroyed && !outgoing.writableFinished
        },
      },
    }
    const auth = savingHeaders(handler.for(request, env, listener.context), outgoing)
    return { auth, session: sessionOf(auth) }
  }
  const stoppable: Stoppable = { settled: listener.settled, stop: listener.stop }
  return { listener, locals, stoppable }
}

/** A response of Node whose headers can be read. */
export interface ReadableResponse extends NodeResponse {
  getHeader(name: string): number | string | string[] | undefined
  getHeaderNames(): string[]
  removeHeader(name: string): void
  /** Called also by Node itself, when the app sends the head without it. */
  writeHead: (status: number, ...others: any[]) => unknown
}

/** Returns the names and values of headers in an argument of `writeHead()`: an object, pairs, or names and values in turn. */
const headersIn = (argument: unknown): [name: string, value: any][] => {
  if (typeof argument !== 'object' || argument === null) return []
  if (!Array.isArray(argument)) return Object.entries(argument)
  if (Array.isArray(argument[0])) return argument
  return argument.flatMap((name, at) => (at % 2 ? [] : [[name, argument[at + 1]] as [string, any]]))
}

/**
 * Sets the headers in the arguments of `writeHead()`. As in Node, they replace those of their name that were set before, but
 * cookies are added.
 */
const setHeaders = (response: ReadableResponse, given: [name: string, value: any][]): void => {
  const seen = new Set<string>()
  for (const [name, value] of given) {
    const key = name.toLowerCase()
    const before = seen.has(key) || key === 'set-cookie' ? response.getHeader(name) : undefined
    response.setHeader(name, before === undefined ? value : [before, value].flat())
    seen.add(key)
  }
}

/** Returns the name of a cookie that a response sets. */
const nameOf = (cookie: string) => cookie.split('=')[0]

/** The headers that a response gets for its use of the session. */
interface Added {
  cookies: string[]
  /** `null` if the response does not depend on the session. */
  cacheControl: string | null
}

/**
 * Adds headers when the head is written, by the app, a framework or Node, so that none of them can replace these headers by
 * accident. Other headers for caches are removed, and the cookies come last.
 */
const addToHead = (response: ReadableResponse, added: () => Added): void => {
  const { writeHead } = response
  const valueOf = (name: string) => response.getHeader(name)?.toString()
  response.writeHead = (status, ...others) => {
    const { cookies, cacheControl: value } = added()
    if (value === null) return writeHead.call(response, status, ...others)
    setHeaders(response, others.flatMap(headersIn))
    const [given, type] = [valueOf('cache-control'), valueOf('content-type')]
    for (const name of response.getHeaderNames()) if (isForCaches(name)) response.removeHeader(name)
    response.setHeader('cache-control', cacheControl(value, given, type))
    if (cookies.length) {
      const names = cookies.map(nameOf)
      const set = [response.getHeader('set-cookie') ?? []].flat().map(String)
      // The app may have added those of `headers()` itself.
      response.setHeader('set-cookie', [...set.filter((one) => !names.includes(nameOf(one))), ...cookies])
    }
    return writeHead.call(response, status, ...others.filter((other) => typeof other === 'string'))
  }
}

/**
 * Returns an object that adds the session's headers to the app's response, for apps whose response is that of Node. After
 * the head, nothing is added.
 */
export const savingHeaders = (auth: RequestAuth, response: ReadableResponse): RequestAuth => {
  /** The headers from the latest use, which those of the next use replace. */
  let added: Added = { cookies: [], cacheControl: null }
  let savedAt = 0
  addToHead(response, () => {
    // By now, the browser may have the cookie of a newer generation or of another session. The session continues with the
    // cookie that the browser has.
    const isSlow = performance.now() - savedAt > QUICK
    return isSlow ? { ...added, cookies: [] } : added
  })
  const save = async (): Promise<void> => {
    const headers = await auth.headers()
    added = { cookies: headers.getSetCookie(), cacheControl: headers.get('cache-control') }
    savedAt = performance.now()
  }
  let saving = Promise.resolve()
  /** Waits for earlier uses, so that the cookies of the latest session are written last. */
  const saveInOrder = (): Promise<void> => (saving = saving.then(save, save))
  let isUsed = false
  const use = async <T>(act: () => Promise<T>): Promise<T> => {
    if (response.headersSent && !isUsed) throw tooLate()
    isUsed = true
    // The app may send the head while the call is in flight.
    added = { ...added, cacheControl: added.cacheControl ?? PRIVATE }
    const result = await act()
    await saveInOrder()
    return result
  }
  return {
    call: (...args) => use(() => auth.call(...args)),
    session: () => use(() => auth.session()),
    endReason: () => use(() => auth.endReason()),
    headers: () => auth.headers(),
  }
}
