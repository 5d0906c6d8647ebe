/** Loads the core, once, and tells the ways apart in which that fails. */
import { initSync } from '../glue/strongroom.js'
import { compose, type StrongroomError } from './error.js'

/** Where the core is, or what it is. A string is relative to the file that runs: page or worker. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module | Response | PromiseLike<Response>

let loading: Promise<WebAssembly.Memory> | undefined

/**
 * Resolves with the core's memory. The first call decides where it comes from, unless that fails.
 *
 * Rejects with `wasm_blocked` if a Content-Security-Policy forbids WebAssembly, else with `wasm_failed`.
 */
export const loadWasm = (
  source: WasmSource = new URL('./strongroom_bg.wasm', import.meta.url),
): Promise<WebAssembly.Memory> =>
  (loading ??= load(source).catch((error) => {
    loading = undefined
    throw explain(error)
  }))

const load = async (source: WasmSource): Promise<WebAssembly.Memory> => {
  const given = await (typeof source === 'string' || source instanceof URL ? fetch(source) : source)
  if (given instanceof Response && !given.ok) throw new Error(`${given.url} answered ${given.status}`)
  const module = await compile(given)
  const { memory } = initSync({ module }) as { memory: WebAssembly.Memory }
  return memory
}

/** While it is being downloaded, if the server says that it is WebAssembly. */
const compile = async (given: BufferSource | WebAssembly.Module | Response): Promise<WebAssembly.Module> => {
  if (given instanceof WebAssembly.Module) return given
  if (!(given instanceof Response)) return WebAssembly.compile(given)
  return given.headers.get('content-type') === 'application/wasm'
    ? WebAssembly.compileStreaming(given)
    : WebAssembly.compile(await given.arrayBuffer())
}

const explain = (error: Error): StrongroomError =>
  error instanceof WebAssembly.CompileError && isBlocked()
    ? compose(
        'wasm_blocked',
        'the Content-Security-Policy forbids WebAssembly',
        "Add 'wasm-unsafe-eval' to script-src in the policy that the worker's file is served with.",
      )
    : compose(
        'wasm_failed',
        `the WebAssembly module could not be loaded: ${error.message}`,
        'Serve strongroom_bg.wasm beside the worker, or pass its URL as vault(config, { wasm }).',
      )

/** A page of HTML in the module's place is a CompileError too; but the empty module is always valid. */
const isBlocked = (): boolean => {
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))
    return false
  } catch {
    return true
  }
}
