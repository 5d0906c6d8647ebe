import { cacheControl, isForCaches } from '../caches.js'
import type { RequestHandler } from '../handler.js'
import type { EdgeSession, RequestAuth } from '../request-auth.js'

/** Options of the frameworks' adapters. */
export interface AdapterOptions {
  /**
   * The `env` for the configuration's functions. Default: the platform's `env` if the framework passes it on, and
   * otherwise `process.env`.
   */
  env?: unknown
}

/** Returns the handler's `env`: the option `env`, the platform's `env`, or `process.env`. */
export const envOf = (options: AdapterOptions, platform?: unknown): unknown =>
  'env' in options ? options.env : (platform ?? (globalThis as any).process?.env)

/** The members that an app gets for each of its requests. */
export interface RequestLocals {
  /**
   * The session of the request, or `null` without a session. The session is read when the promise is first awaited. The
   * promise rejects if the session cannot be read now.
   */
  session: Promise<EdgeSession | null>
  /** Calls APIs with the user's access token. The adapter adds its headers to the app's response. */
  auth: RequestAuth
}

/**
 * Responds to the handler's endpoints and routes. For all other requests calls `app`, whose response gets the headers of
 * the session that the app has used.
 */
export const serve = async (
  handler: RequestHandler,
  given: Parameters<RequestHandler['handle']>,
  app: (locals: RequestLocals) => Response | Promise<Response>,
): Promise<Response> => {
  const own = await handler.handle(...given)
  if (own) return own
  const locals = localsOf(handler, ...given)
  const response = await app(locals)
  return withHeaders(response, await locals.auth.headers())
}

/** Returns what the app gets for a request. */
export const localsOf = (
  handler: RequestHandler,
  ...given: Parameters<RequestHandler['for']>
): RequestLocals => {
  const auth = handler.for(...given)
  return { auth, session: sessionOf(auth) }
}

/** Returns the session as a promise that is read when it is first awaited. */
export const sessionOf = (auth: Pick<RequestAuth, 'session'>): RequestLocals['session'] =>
  new Lazy(() => auth.session())

/**
 * Returns a copy of the response with the session's headers: every `Set-Cookie` is added, and other headers replace those
 * of the response. The response itself stays as it is, because the app may send one object to several users.
 */
export const withHeaders = (response: Response, more: Headers): Response => {
  const fields = [...more]
  const { status, statusText, body } = response
  // `Response.error()` and the response to a WebSocket cannot be copied.
  if (!fields.length || status < 200) return response
  const changed = new Response(body, { status, statusText, headers: response.headers })
  const { headers } = changed
  const [given, type] = [headers.get('cache-control'), headers.get('content-type')]
  for (const name of [...headers.keys()]) if (isForCaches(name)) headers.delete(name)
  for (const [name, value] of fields) {
    if (name === 'set-cookie') headers.append(name, value)
    else headers.set(name, name === 'cache-control' ? cacheControl(value, given, type) : value)
  }
  return changed
}

/**
 * A promise whose work begins when the promise is first awaited. TypeScript reports `if (session)` without `await` as
 * an error, because the type is a promise.
 */
class Lazy<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = 'Promise'
  readonly #begin: () => Promise<T>
  #promise: Promise<T> | undefined

  constructor(begin: () => Promise<T>) {
    this.#begin = begin
  }

  get #begun(): Promise<T> {
    return (this.#promise ??= this.#begin())
  }

  then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#begun.then(fulfilled, rejected)
  }

  catch<B = never>(rejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#begun.catch(rejected)
  }

  finally(settled?: (() => void) | null): Promise<T> {
    return this.#begun.finally(settled)
  }
}
