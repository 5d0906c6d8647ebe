/** The common part of the adapters for apps on Node. */
import type { RequestHandler } from '../handler.js'
import { QUICK } from '../../../glue/constants.js'
import { PRIVATE, type RequestAuth, tooLate } from '../request-auth.js'
import { envOf, isForCaches, localsOf, type RequestLocals } from './framework.js'
import {
  type NodeListener,
  type NodeListenerOptions,
  type NodeRequest,
  type NodeResponse,
  toNodeListener,
} from './node.js'
import { headersOf, originOf } from './node-request.js'

/** The functions that stop a server: see `NodeListener`. */
export type Stoppable = Pick<NodeListener, 'settled' | 'stop'>

/** Returns the listener, and a function that returns what the app gets for a request that the listener has passed on. */
export const nodeApp = (handler: RequestHandler, options: NodeListenerOptions) => {
  const listener = toNodeListener(handler, options)
  const env = envOf(options)
  const locals = (incoming: NodeRequest): RequestLocals => {
    // The listener has refused requests without a usable host.
    const url = (options.origin ?? originOf(incoming)) + (incoming.originalUrl ?? incoming.url ?? '')
    const request = { method: incoming.method ?? 'GET', url, headers: headersOf(incoming) }
    return localsOf(handler, request, env, listener.context)
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

/**
 * Sets `Cache-Control` when the head is written, and removes other headers for caches, so that the app cannot replace them
 * by accident. `cacheControl` returns `null` if the response does not depend on the session.
 */
export const keepPrivate = (response: ReadableResponse, cacheControl: () => string | null): void => {
  const { writeHead } = response
  response.writeHead = (status, ...others) => {
    const value = cacheControl()
    if (value === null) return writeHead.call(response, status, ...others)
    for (const name of response.getHeaderNames()) if (isForCaches(name)) response.removeHeader(name)
    response.setHeader('cache-control', value)
    return writeHead.call(response, status, ...others.map(withoutCaching))
  }
}

/** Returns an argument of `writeHead()`. If it contains headers, those for caches are left out. */
const withoutCaching = (argument: unknown): unknown => {
  if (typeof argument !== 'object' || argument === null) return argument
  const isKept = (name: string) => !isForCaches(name) && name.toLowerCase() !== 'cache-control'
  if (!Array.isArray(argument))
    return Object.fromEntries(Object.entries(argument).filter(([name]) => isKept(name)))
  // Either pairs, or names and values in turn.
  if (Array.isArray(argument[0])) return argument.filter(([name]) => isKept(name))
  return argument.filter((_, at) => isKept(argument[at - (at % 2)]))
}

/** Replaces the cookies that a response sets. */
const setCookies = (response: ReadableResponse, cookies: string[]): void => {
  if (cookies.length) response.setHeader('set-cookie', cookies)
  else response.removeHeader('set-cookie')
}

/**
 * Returns an object that adds the session's headers to the app's response after each use, for frameworks without a step
 * that runs before the head of every response. After the head, nothing is added.
 */
export const savingHeaders = (auth: RequestAuth, response: ReadableResponse): RequestAuth => {
  /** The cookies from the previous use, which those of the next use replace. */
  let saved: readonly string[] = []
  let savedAt = 0
  let cacheControl: string | null = null
  const withoutSaved = (): string[] =>
    [response.getHeader('set-cookie') ?? []]
      .flat()
      .map(String)
      .filter((cookie) => !saved.includes(cookie))
  keepPrivate(response, () => {
    // By now, the browser may have the cookie of a newer generation or of another session. The session continues with the
    // cookie that the browser has.
    if (saved.length && performance.now() - savedAt > QUICK) setCookies(response, withoutSaved())
    return cacheControl
  })
  const save = async (): Promise<void> => {
    const headers = await auth.headers()
    if (response.headersSent) return
    const cookies = headers.getSetCookie()
    if (cookies.length || saved.length) setCookies(response, [...withoutSaved(), ...cookies])
    saved = cookies
    savedAt = performance.now()
    cacheControl = headers.get('cache-control')
  }
  let saving = Promise.resolve()
  /** Waits for earlier uses, so that the cookies of the latest session are written last. */
  const saveInOrder = (): Promise<void> => (saving = saving.then(save, save))
  let isUsed = false
  const use = async <T>(act: () => Promise<T>): Promise<T> => {
    if (response.headersSent && !isUsed) throw tooLate()
    isUsed = true
    // The app may send the head while the call is in flight.
    cacheControl ??= PRIVATE
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
