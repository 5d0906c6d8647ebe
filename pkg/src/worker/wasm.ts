/** Loads the core's module, and distinguishes the ways in which loading fails. */
import { StrongroomError } from '../page/errors/error.js'

/** A module or its location. A string is a URL relative to the page or the worker. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module | Response | PromiseLike<Response>

/** The function of a module's glue that instantiates the module. */
type InitSync = (source: { module: WebAssembly.Module }) => { memory: WebAssembly.Memory }

/**
 * Resolves with the module's memory.
 *
 * Rejects with `wasm_blocked` if a Content-Security-Policy forbids WebAssembly, else with `wasm_failed`. The message is
 * only the reason: the caller adds what happened and the advice.
 */
export const loadWasm = (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> =>
  load(source, initSync).catch((error) => {
    throw error instanceof WebAssembly.CompileError && isBlocked()
      ? new StrongroomError('wasm_blocked', '')
      : new StrongroomError('wasm_failed', error.message)
  })

const load = async (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> => {
  const given = await (typeof source === 'string' || source instanceof URL ? fetch(source) : source)
  if (given instanceof Response) {
    const [url] = given.url.split('?')
    if (!given.ok) throw new Error(`the server responds to ${url} with ${given.status}`)
    // Many servers send the app's page in place of a missing file.
    if (/html/.test(given.headers.get('content-type')!)) throw new Error(`${url} is HTML, not WebAssembly`)
  }
  return initSync({ module: await compile(given) }).memory
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
 * Returns true if a policy forbids WebAssembly. Compiling an HTML page also throws a CompileError, so this function
 * compiles an empty module, which fails only because of a policy.
 */
const isBlocked = (): boolean => {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))
    return false
  } catch {
    return true
  }
}
