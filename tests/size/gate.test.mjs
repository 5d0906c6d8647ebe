// The size gate accepts a small package, and rejects a package in which one download exceeds its gate.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gateOf } from '../../benches/downloads.mjs'
import { BINDINGS } from '../../pkg/entries.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = `${root}target/size-gate`
const KB = 1024

const PAGE = 'page (main thread)'
const VUE = 'strongroom/vue'
const TOTAL = 'total'
const EDGE = 'strongroom/edge, on a server'

before(() => mkdir(dist, { recursive: true }))
after(() => rm(dist, { recursive: true }))

/** The sizes of each case exceed one gate by this many KB. Page and worker take 1 KB each of the total. */
const EXCESS = 0.2
const over = (name, others = 0) => gateOf(name) + EXCESS - others

const cases = [
  { name: 'within the budget' },
  { name: 'a page that is too large', page: over(PAGE), exceeded: PAGE },
  { name: 'a binding that is too large', vue: over(VUE), exceeded: VUE },
  { name: 'a wasm that is too large', wasm: over(TOTAL, 2), exceeded: TOTAL },
  { name: 'a token handler that is too large', edge: over(EDGE, 1), exceeded: EDGE },
]

for (const options of cases) {
  const { name, page = 1, vue = 0.3, wasm = 10, edge = 10, exceeded } = options

  test(name, async () => {
    // Random bytes do not compress, so these sizes are also the compressed sizes.
    await writeFile(`${dist}/index.js`, script({ connect: page - 0.1, createAuth: 0.1 }))
    await writeFile(`${dist}/worker.js`, randomBytes(KB))
    await writeFile(`${dist}/strongroom_bg.wasm`, randomBytes(wasm * KB))
    // These files have no gate, so their size does not matter.
    await writeFile(`${dist}/error-messages.js`, randomBytes(60 * KB))
    await writeFile(`${dist}/streaming.js`, randomBytes(60 * KB))
    await writeFile(`${dist}/token-handler-client.js`, randomBytes(60 * KB))
    await writeFile(`${dist}/inspector.js`, randomBytes(KB))
    await writeFile(`${dist}/media.js`, randomBytes(KB))
    for (const name of Object.keys(BINDINGS)) {
      await writeFile(`${dist}/${name}.js`, randomBytes((name === 'vue' ? vue : 0.3) * KB))
    }
    for (const name of ['edge.workerd', 'edge-common']) await writeFile(`${dist}/${name}.js`, randomBytes(KB))
    await writeFile(`${dist}/strongroom_edge_bg.wasm`, randomBytes(edge * KB))
    const { code, stderr } = await size('--dist', dist)
    assert.equal(code, exceeded ? 1 : 0)
    const reported = [...stderr.matchAll(/^(.+): \S+ KB/gm)].map(([, name]) => name)
    assert.deepEqual(reported, exceeded ? [exceeded] : [])
  })
}

/** Returns a file whose exports have these compressed sizes in KB. */
function script(exports) {
  const declare = ([name, size]) => `export const ${name}="${randomBytes(size * KB).toString('base64')}";`
  return Object.entries(exports).map(declare).join('')
}

test('a package that was not built', async () => {
  const { code, stderr } = await size('--dist', `${dist}/nowhere`)
  assert.equal(code, 1)
  assert.match(stderr, /cargo xtask build/)
})

function size(...args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${root}benches/size.mjs`, ...args], (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    )
  })
}
