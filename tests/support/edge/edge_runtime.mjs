import { EdgeRuntime } from 'edge-runtime'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { listen } from '../listen.mjs'
import { platform } from './start.mjs'

/**
 * The runtime of Vercel's edge functions (condition `edge-light`). Each isolate is a context in this process. Node's
 * server receives the requests, because the runtime's own server does not notice when a client disconnects.
 */
export const edgeRuntime = platform({
  coordinators: ['redis-rest', 'in-isolate'],
  entry: ({ imports, handler }) => `
    ${imports}
    const handler = ${handler}
    addEventListener('fetch', (event) => {
      const context = { waitUntil: (promise) => event.waitUntil(promise) }
      event.respondWith(handler.fetch(event.request, bindings, context))
    })`,
  bundling: {
    name: 'entry.js',
    platform: 'neutral',
    format: 'iife',
    conditions: ['edge-light', 'worker', 'import', 'module'],
    // The test compiles the wasm, because code in this runtime may not compile wasm.
    wasmAs: (name) => `export default compiledWasm[${JSON.stringify(name)}]`,
  },
  async serve({ file, wasm, env, isolates }) {
    // The demo imports this file, and does not build that one.
    const { toNodeListener } = await import('../../../pkg/dist/edge/node.js')
    const initialCode = await readFile(file, 'utf8')
    const compiledWasm = {}
    for (const path of wasm) compiledWasm[basename(path)] = await WebAssembly.compile(await readFile(path))
    const extend = (context) => Object.assign(context, { bindings: { ...env }, compiledWasm })
    const isolate = async () => {
      const runtime = new EdgeRuntime({ initialCode, extend })
      return listen({ handler: toNodeListener((request) => dispatch(runtime, request)) })
    }
    const servers = await Promise.all(Array.from({ length: isolates }, isolate))
    const stop = async () => void (await Promise.all(servers.map((server) => server.close())))
    return { urls: servers.map(({ origin }) => origin), stop }
  },
})

const dispatch = (runtime, { url, method, headers, body, signal }) =>
  runtime.dispatchFetch(url, { method, headers: [...headers], body, duplex: 'half', signal })
