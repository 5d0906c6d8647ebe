/** Loads the core's module, and distinguishes the ways in which loading fails. */
import { isLoopback } from '../protocol/loopback.js'
import { StrongroomError } from '../page/errors/error.js'
import { repeat } from '../protocol/repeat.js'

/** A module or its location. A string is a URL relative to the page or the worker. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module | Response | PromiseLike<Response>

/** Seconds in which the worker's files must arrive. This is less than the default time limit of `connect()`. */
export const TIME_LIMIT = 8

const VITE_7 = ": add optimizeDeps: { exclude: ['strongroom'] } to vite.config.ts"

/** The function of a module's glue that instantiates the module. */
type InitSync = (source: { module: WebAssembly.Module }) => { memory: WebAssembly.Memory }

/**
 * Resolves with the module's memory.
 *
 * Rejects with `wasm_missing` if the browser has no WebAssembly, with `wasm_blocked` if a Content-Security-Policy forbids
 * it, else with `wasm_failed`. The message is only the reason: the caller adds what happened and the advice.
 */
export const loadWasm = (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> =>
  load(source, initSync).catch((error) => {
    if (!('WebAssembly' in globalThis)) throw new StrongroomError('wasm_missing', '')
    throw isBlocked(error)
      ? new StrongroomError('wasm_blocked', '')
      : new StrongroomError('wasm_failed', error.message)
  })

const load = async (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> => {
  const given = await (typeof source === 'string' || source instanceof URL ? requestModule(source) : source)
  const fault = given instanceof Response && faultOf(given)
  if (fault) throw new Error(fault)
  return initSync({ module: await compile(given) }).memory
}

/**
 * Returns true if another attempt to get a file of the worker would fail, too: in development, only a server's error may be
 * over soon.
 *
 * @param status The status of the response, if there was one.
 */
export const isFinal = (status = 0): boolean => isLoopback(location.hostname) && status < 500

/**
 * Requests the module, again and again until the time limit. The browser may have kept an error of the server, or the app's
 * page, for as long as the module, and would use it again at each visit. So the file is then requested from the server.
 */
export const requestModule = (source: string | URL): Promise<Response> => {
  const request = async (cache?: RequestCache): Promise<Response> => {
    const response = await fetch(source, cache && { cache }).catch((error) => {
      throw Object.assign(error, { isFinal: isFinal() })
    })
    const fault = faultOf(response)
    if (!fault) return response
    if (!cache) return request('reload')
    throw Object.assign(new Error(fault), { isFinal: isFinal(response.status) })
  }
  return repeat(() => request(), performance.now() + TIME_LIMIT * 1000)
}

/** Returns the reason why a response is not the module. */
const faultOf = ({ url, ok, status, headers }: Response): string | undefined => {
  const [file] = url.split('?')
  if (!ok) return `the server responds to ${file} with ${status}`
  if (!/html/.test(headers.get('content-type')!)) return undefined
  // Vite 7 copies the package's scripts, but not its module.
  const advice = /\/\.vite\/deps\//.test(file!) ? VITE_7 : ''
  // Many servers send the app's page in place of a missing file.
  return `${file} is HTML, not WebAssembly${advice}`
}

/** Compiles the module. If the server sends the right content type, the module is compiled while it is downloaded. */
const compile = async (given: BufferSource | WebAssembly.Module | Response): Promise<WebAssembly.Module> => {
  if (given instanceof WebAssembly.Module) return given
  if (!(given instanceof Response)) return WebAssembly.compile(given)
  return given.headers.get('content-type') === 'application/wasm'
    ? WebAssembly.compileStreaming(given)
    : WebAssembly.compile(await given.arrayBuffer())
}

/**
 * Returns true if compiling has failed because a policy forbids WebAssembly. Compiling an HTML page also throws a
 * CompileError, so this function compiles an empty module, which fails only because of a policy.
 */
export const isBlocked = (error: unknown): boolean => {
  if (!(error instanceof WebAssembly.CompileError)) return false
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))
    return false
  } catch {
    return true
  }
}
