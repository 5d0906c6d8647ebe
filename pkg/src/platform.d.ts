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
/** The same bytes as base64, which `pkg/build.mjs` writes. */
declare module '*/edge-module.js' {
  const base64: string
  export default base64
}
/** The functions of Node that the package uses. Bun and Deno also have them. */
declare module 'node:buffer' {
  export const Buffer: { from(text: string, encoding: 'base64'): Uint8Array<ArrayBuffer> }
}
declare module 'node:fs/promises' {
  export const readdir: (folder: string) => Promise<string[]>
}
declare module 'node:path' {
  export const resolve: (...parts: string[]) => string
}
