/** The vault's modules, each with a configuration that needs it: see pkg/src/worker/modules.ts. */
export const MODULES = {
  'strongroom_bg.wasm': {},
  'strongroom_stored_bg.wasm': { session: { persist: 'sealed' } },
  'strongroom_extended_bg.wasm': { inspect: true },
}
