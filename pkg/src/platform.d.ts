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
  export const Buffer: {
    from(text: string, encoding: 'base64'): Uint8Array<ArrayBuffer>
    concat(chunks: Uint8Array[]): Uint8Array<ArrayBuffer>
  }
}
declare module 'node:fs/promises' {
  export const readdir: (folder: string) => Promise<string[]>
  export function readFile(file: URL | string): Promise<Uint8Array<ArrayBuffer>>
  export function readFile(file: string, encoding: 'utf8'): Promise<string>
  export const writeFile: (file: string, text: string) => Promise<void>
}
declare module 'node:vm' {
  /** Code that is parsed, and not run. */
  export class Script {
    constructor(code: string)
  }
}
declare module 'node:zlib' {
  type Decode = (
    bytes: Uint8Array,
    options: { finishFlush: number; maxOutputLength: number },
  ) => Uint8Array<ArrayBuffer>
  export const brotliDecompressSync: Decode
  export const inflateSync: Decode
  export const unzipSync: Decode
  export const constants: { BROTLI_OPERATION_FLUSH: number; Z_SYNC_FLUSH: number }
}
declare module 'node:url' {
  export const pathToFileURL: (path: string) => URL
  export const fileURLToPath: (url: URL) => string
}
declare module 'node:module' {
  export const createRequire: (from: string) => { resolve(name: string): string }
}
declare module 'node:crypto' {
  interface Hash {
    update(data: string | Uint8Array): Hash
    digest(encoding: 'base64' | 'base64url'): string
  }
  export const createHash: (algorithm: string) => Hash
}
declare module 'node:util' {
  export const inspect: (value: unknown) => string
}
declare module 'node:process' {
  export const argv: string[]
  export const env: Record<string, string | undefined>
  export const exit: (status: number) => never
  export const version: string
  export const stdout: { write(text: string, onWritten: () => void): unknown }
  export const stderr: { write(text: string, onWritten: () => void): unknown }
}
declare module 'node:net' {
  export const isIP: (text: string) => 0 | 4 | 6
  export class BlockList {
    addSubnet(net: string, prefix: number, type: 'ipv4' | 'ipv6'): void
    check(address: string, type: 'ipv4' | 'ipv6'): boolean
  }
}
declare module 'node:dns' {
  export interface Address {
    address: string
    family: number
  }
  export const lookup: (
    host: string,
    options: { all: true },
    callback: (error: Error | null, addresses?: Address[]) => void,
  ) => void
}
declare module 'node:http' {
  import type { Address } from 'node:dns'

  export interface Response extends AsyncIterable<Uint8Array> {
    statusCode?: number
    headers: Record<string, string | string[] | undefined>
  }
  export interface Request {
    on(event: 'error', listener: (error: Error) => void): void
    end(body?: string): void
    destroy(error?: Error): void
  }
  export interface Options {
    method: string
    agent: false
    headers: Record<string, string>
    lookup(
      host: string,
      options: { all?: boolean },
      callback: (error: Error | null, address?: string | Address[], family?: number) => void,
    ): void
  }
  export const request: (url: URL, options: Options, onResponse: (response: Response) => void) => Request
  export interface Server {
    listen(port: number, host: string, onListening: () => void): void
    once(event: 'error', listener: (error: Error & { code?: string }) => void): Server
    close(): void
    closeAllConnections(): void
  }
  export const createServer: (
    onRequest: (
      request: { headers: Response['headers'] },
      response: { statusCode: number; setHeader(name: string, value: string): void; end(text: string): void },
    ) => void,
  ) => Server
}
declare module 'node:https' {
  export { request } from 'node:http'
}
declare module 'node:path' {
  export const resolve: (...parts: string[]) => string
  export const posix: {
    dirname(path: string): string
    join(...parts: string[]): string
    relative(from: string, to: string): string
  }
}
