// The size gate accepts a small package, and rejects a package in which one download exceeds its gate.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BINDINGS } from '../../pkg/entries.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = `${root}target/size-gate`
const KB = 1024

before(() => mkdir(dist, { recursive: true }))
after(() => rm(dist, { recursive: true }))

const cases = [
  { name: 'within the budget', page: 1, wasm: 10, over: null },
  { name: 'a page that is too large', page: 5.3, wasm: 10, over: /^page \(main thread\): 5\.3/m },
  {
    name: 'a createAuth that is too large',
    page: 1,
    createAuth: 0.8,
    wasm: 10,
    over: /^createAuth, .*: 0\.8/m,
  },
  { name: 'a binding that is too large', page: 1, binding: 0.6, wasm: 10, over: /^strongroom\/vue: 0\.6/m },
  { name: 'a wasm that is too large', page: 1, wasm: 52, over: /^total: 54\./m },
  {
    name: 'a wasm with stored sessions that is too large',
    page: 1,
    wasm: 10,
    stored: 65,
    over: /^with stored sessions: 67\./m,
  },
  {
    name: 'an extended wasm that is too large',
    page: 1,
    wasm: 10,
    extended: 83,
    over: /^extended, all options: 85\./m,
  },
  {
    name: 'a token handler that is too large',
    page: 1,
    wasm: 10,
    edge: 109,
    over: /^strongroom\/edge, on a server: 110\./m,
  },
]

for (const options of cases) {
  const {
    name,
    page,
    createAuth = 0.1,
    binding = 0.3,
    wasm,
    stored = 20,
    extended = 60,
    edge = 10,
    over,
  } = options

  test(name, async () => {
    // Random bytes do not compress, so these sizes are also the compressed sizes.
    await writeFile(`${dist}/index.js`, script({ connect: page - createAuth, createAuth }))
    await writeFile(`${dist}/worker.js`, randomBytes(KB))
    await writeFile(`${dist}/strongroom_bg.wasm`, randomBytes(wasm * KB))
    // These files have no gate, so their size does not matter.
    await writeFile(`${dist}/error-messages.js`, randomBytes(60 * KB))
    await writeFile(`${dist}/streaming.js`, randomBytes(60 * KB))
    await writeFile(`${dist}/token-handler-client.js`, randomBytes(60 * KB))
    for (const name of Object.keys(BINDINGS)) {
      await writeFile(`${dist}/${name}.js`, randomBytes(binding * KB))
    }
    await writeFile(`${dist}/strongroom_stored_bg.wasm`, randomBytes(stored * KB))
    await writeFile(`${dist}/strongroom_extended_bg.wasm`, randomBytes(extended * KB))
    await writeFile(`${dist}/edge.workerd.js`, randomBytes(KB))
    await writeFile(`${dist}/strongroom_edge_bg.wasm`, randomBytes(edge * KB))
    const { code, stderr } = await size('--dist', dist)
    assert.equal(code, over ? 1 : 0)
    assert.match(stderr, over ?? /^$/)
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
