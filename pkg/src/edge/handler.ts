import { StrongroomError } from '../page/error.js'
import type { TokenHandlerConfig } from './config.js'
import { type Context, Host } from './host.js'

/** A handler as servers call it. */
export interface TokenHandler {
  /**
   * Answers a request: the handler's own endpoints, and the routes. What is neither gets 404.
   *
   * @param env What the platform hands over; the configuration's functions get it.
   */
  fetch(request: Request, env?: unknown, context?: Context): Promise<Response>
  /** The same, but `undefined` for what is neither: the app answers that. */
  handle(request: Request, env?: unknown, context?: Context): Promise<Response | undefined>
  /**
   * Who has sent a request: for pages that are rendered on the server. It is no sign of the user, and sets no cookie.
   *
   * @returns `null` if nobody is signed in.
   * @throws Error If nobody can say just now: the session is kept, and the request may come again.
   */
  session(request: Request, env?: unknown, context?: Context): Promise<EdgeSession | null>
  /**
   * Reads the configuration now, and not with the first request: for a server that had better not start with a wrong one.
   * Neither the provider nor the coordinator is asked for anything.
   *
   * @param env As for {@link fetch}. Default, where there is one: `process.env`.
   * @throws {@link StrongroomError} `config_invalid`: the message names the option, and what is wrong with it.
   */
  ready(env?: unknown): Promise<void>
}

/** Who is signed in: what `GET <base>/session` tells a page. Times are milliseconds since the Unix epoch. */
export interface EdgeSession {
  claims: { sub: string; [name: string]: unknown }
  scopes: string[]
  /** `interaction_required`: the provider wants the user before it issues another access token. */
  state: 'active' | 'interaction_required'
  startedAt: number
  expiresAt: number
  idleExpiresAt: number
  accessTokenExpiresAt: number
}

/** Where the core's module is: each platform has its own way. */
export type Load = () => WebAssembly.Module | Promise<WebAssembly.Module>

/** Makes `createTokenHandler` for a platform. */
export const creating =
  (load: Load) =>
  (config: TokenHandlerConfig, options: { wasm?: WebAssembly.Module | BufferSource } = {}): TokenHandler => {
    let starting: Promise<Host> | undefined
    const start = async (env: unknown): Promise<Host> => {
      const given = options.wasm ?? (await load())
      return new Host(config, env, isModule(given) ? given : await WebAssembly.compile(given))
    }
    /** Why it does not start: for the configuration's author, and no secret is in it. The next one tries anew. */
    const notStarted = (error: unknown): StrongroomError => {
      starting = undefined
      const { code = 'handler_failed', message } = error as StrongroomError
      return new StrongroomError(code, message)
    }
    const handle = async (request: Request, env?: unknown, context?: Context) => {
      let host
      try {
        host = await (starting ??= start(env))
        if (host.isBroken) host = await (starting = start(env))
      } catch (error) {
        const { code, message } = notStarted(error)
        const { log = ({ code, message }) => console.error(`strongroom: ${code}: ${message}`) } = config
        log({ code, message })
        return failure()
      }
      try {
        return await host.answer(request, context)
      } catch {
        return failure()
      }
    }
    return {
      handle,
      async ready(env = (globalThis as { process?: { env: unknown } }).process?.env) {
        try {
          await (starting ??= start(env))
        } catch (error) {
          throw notStarted(error)
        }
      },
      async session(request, env, context) {
        const address = new URL(`${config.base ?? '/auth'}/session`, request.url)
        const headers = { 'x-strongroom': 'background', cookie: request.headers.get('cookie') ?? '' }
        const response = await handle(new Request(address, { headers }), env, context)
        if (!response?.ok) throw new Error(`the session cannot be told: ${response?.status}`)
        return ((await response.json()) as { session: EdgeSession | null }).session
      },
      fetch: async (request, env, context) =>
        (await handle(request, env, context)) ?? new Response('Not found', { status: 404 }),
    }
  }

const failure = (): Response =>
  new Response('The server could not answer', { status: 500, headers: { 'cache-control': 'no-store' } })

/** Also one of another realm: the Edge Runtime's handlers get theirs from outside. */
const isModule = (given: WebAssembly.Module | BufferSource): given is WebAssembly.Module =>
  Object.prototype.toString.call(given) === '[object WebAssembly.Module]'
