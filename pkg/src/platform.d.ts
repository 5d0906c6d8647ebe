/** What a bundler or a platform provides, of which TypeScript does not know. */

/** What bundlers for servers make of the import of a module. */
declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
declare module '*.wasm?module' {
  const module: WebAssembly.Module
  export default module
}
/** What is used of Node's: Bun and Deno have it, too. */
declare module 'node:fs/promises' {
  export const readFile: (file: URL) => Promise<Uint8Array<ArrayBuffer>>
}
