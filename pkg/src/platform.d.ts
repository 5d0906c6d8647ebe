/** Declarations of platform and bundler features that TypeScript does not include. */

/** Modules that bundlers for servers can import. */
declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
declare module '*.wasm?module' {
  const module: WebAssembly.Module
  export default module
}
/** The functions of Node that the package uses. Bun and Deno also have these functions. */
declare module 'node:fs/promises' {
  export const readFile: (file: URL) => Promise<Uint8Array<ArrayBuffer>>
}
