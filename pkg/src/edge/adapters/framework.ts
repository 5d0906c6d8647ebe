import type { EdgeSession, TokenHandler } from '../handler.js'

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

/**
 * Returns a promise of a request's session, or of `null` without a session. The session is read once, when the promise
 * is first awaited.
 */
export const sessionOf = (
  handler: TokenHandler,
  ...[request, env, context]: Parameters<TokenHandler['session']>
): Promise<EdgeSession | null> => new Lazy(() => handler.session(request, env, context))

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
