/** Measures the start of a handler in a process of its own. Prints milliseconds, as JSON. */
import { readFile } from 'node:fs/promises'
import process from 'node:process'

const dist = new URL(`${process.argv[2]}/`, import.meta.url)
const bytes = await readFile(new URL('strongroom_edge_bg.wasm', dist))
// `Request` and `Response` are used before the measurement, because Node loads its `fetch` at the first use, which
// takes longer than everything that is measured here.
const request = new Request('https://app.example.com/api/orders', { headers: { 'x-strongroom': '1' } })
new Response(null)
const began = performance.now()
const { createTokenHandler, inIsolate } = await import(new URL('edge.js', dist))
const loaded = performance.now()
const wasm = await WebAssembly.compile(bytes)
const compiled = performance.now()
const handler = createTokenHandler(
  {
    issuer: 'https://id.example.com',
    client: { id: 'web', auth: { method: 'client_secret_basic', secret: 'a secret' } },
    cookie: { keys: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8' },
    routes: [{ prefix: '/api/', upstream: 'https://api.example.com/v1/' }],
    coordinator: inIsolate(),
  },
  { wasm },
)
await handler.ready()
const ready = performance.now()
const { status } = await handler.fetch(request)
const answered = performance.now()
if (status !== 401) throw new Error(`it answered ${status}`)
console.log(
  JSON.stringify({
    load: loaded - began,
    compile: compiled - loaded,
    ready: ready - compiled,
    first: answered - ready,
    both: answered - compiled,
  }),
)
