import type { EdgeSession, TokenHandler } from '../handler.js'

/** What the frameworks' adapters take besides the handler. */
export interface AdapterOptions {
  /**
   * Handed to the handler, whose configuration's functions get it. Default: what the framework hands over from its
   * platform, and else `process.env`.
   */
  env?: unknown
}

/** The handler's `env`: what is said, what the platform has, or the process's environment. */
export const envOf = (options: AdapterOptions, platform?: unknown): unknown =>
  'env' in options ? options.env : (platform ?? (globalThis as any).process?.env)

/** Who has sent a request, asked when somebody waits for it, and once. */
export const sessionOf = (
  handler: TokenHandler,
  ...[request, env, context]: Parameters<TokenHandler['session']>
): Promise<EdgeSession | null> => new Lazy(() => handler.session(request, env, context))

/**
 * A promise whose work begins when it is first waited for. To TypeScript it is a promise, so that `if (session)` without
 * `await` is an error there.
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
