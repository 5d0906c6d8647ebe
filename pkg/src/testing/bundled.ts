/** The parts that pkg/build.mjs bundles separately. Each call creates an instance with variables of its own. */
import { StrongroomError } from '../page/index.js'
import { isBlocked } from '../worker/wasm.js'
import type { PageGlobals } from './platform.js'

declare const PAGE_CODE: (globals: PageGlobals) => typeof import('./page.js')
declare const CORE_CODE: () => typeof import('./core.js')
/** The module in base64. It is part of the script, because test runners do not load files by URL. */
declare const MODULE: string

let compiled: Promise<WebAssembly.Module> | undefined

const compile = () =>
  WebAssembly.compile(Uint8Array.from(atob(MODULE), (char) => char.charCodeAt(0))).catch((error) => {
    throw isBlocked(error)
      ? new StrongroomError(
          'wasm_blocked',
          "The core of strongroom/testing runs in the page, whose Content-Security-Policy forbids WebAssembly. In the build for tests, pass `testing: true` to viteHeaders() or securityHeaders(), or add 'wasm-unsafe-eval' to script-src: docs/testing-your-app.md",
        )
      : error
  })

/** Loads the page's code with these globals, as a browser does for each page. */
export const loadPage = (globals: PageGlobals): typeof import('./page.js') => {
  const page = PAGE_CODE(globals)
  // Errors of this page are instances of the class that apps import from `strongroom`.
  Object.setPrototypeOf(page.StrongroomError.prototype, StrongroomError.prototype)
  return page
}

/** Loads the core. Rejects with `wasm_blocked` if the page's policy forbids WebAssembly. */
export const loadCore = async (): Promise<typeof import('./core.js')> => {
  const core = CORE_CODE()
  core.initSync({ module: await (compiled ??= compile()) })
  return core
}
