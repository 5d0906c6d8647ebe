/** Loads a module of the core, once, and tells the ways apart in which that fails. */
import { StrongroomError } from '../page/error.js'

/** Where a module is, or what it is. A string is relative to the file that runs: page or worker. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module | Response | PromiseLike<Response>

/** A module's glue has it. */
type InitSync = (source: { module: WebAssembly.Module }) => { memory: WebAssembly.Memory }

let loading: Promise<WebAssembly.Memory> | undefined

/**
 * Resolves with the module's memory. The first call decides where it comes from, unless that fails.
 *
 * Rejects with `wasm_blocked` if a Content-Security-Policy forbids WebAssembly, else with `wasm_failed`.
 * The message is only the reason of the failure: it says neither what happened nor what to do about it.
 */
export const loadWasm = (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> =>
  (loading ??= load(source, initSync).catch((error) => {
    loading = undefined
    throw error instanceof WebAssembly.CompileError && isBlocked()
      ? new StrongroomError('wasm_blocked', '')
      : new StrongroomError('wasm_failed', error.message)
  }))

const load = async (source: WasmSource, initSync: InitSync): Promise<WebAssembly.Memory> => {
  const given = await (typeof source === 'string' || source instanceof URL ? fetch(source) : source)
  if (given instanceof Response) {
    const [url] = given.url.split('?')
    if (!given.ok) throw new Error(`${url} answered ${given.status}`)
    // Many servers send the app's page for files that do not exist.
    if (/html/.test(given.headers.get('content-type')!)) throw new Error(`${url} is HTML, not WebAssembly`)
  }
  return initSync({ module: await compile(given) }).memory
}

/** While it is being downloaded, if the server says that it is WebAssembly. */
const compile = async (given: BufferSource | WebAssembly.Module | Response): Promise<WebAssembly.Module> => {
  if (given instanceof WebAssembly.Module) return given
  if (!(given instanceof Response)) return WebAssembly.compile(given)
  return given.headers.get('content-type') === 'application/wasm'
    ? WebAssembly.compileStreaming(given)
    : WebAssembly.compile(await given.arrayBuffer())
}

/** A page of HTML in the module's place is a CompileError too; but the empty module is always valid. */
const isBlocked = (): boolean => {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))
    return false
  } catch {
    return true
  }
}
