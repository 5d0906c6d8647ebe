// `cargo xtask test changed` runs a test file if a file changes that it needs. What it needs is read from string literals,
// and compared here with the real imports, as esbuild follows them.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import {
  BINDINGS,
  CALLBACK,
  ENTRIES,
  EXTENSION,
  FRAMEWORKS,
  LAZY,
  PROGRAM,
  SERVER,
  TOOLS,
} from '../../pkg/entries.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const options = { cwd: root, maxBuffer: 1e8 }
const { stdout } = await promisify(execFile)('cargo', ['xtask', 'test', 'changed', '--needs'], options)
const needs = Object.entries(JSON.parse(stdout)).map(([file, needed]) => [file, new Set(needed)])

/** Built files are no sources. */
const external = ({ path }) => ({ path, external: true })

/** Resolves with the repository's files that the code of a file contains. */
async function imported(file) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [file],
    bundle: true,
    metafile: true,
    write: false,
    outdir: 'out',
    format: 'esm',
    platform: 'node',
    packages: 'external',
    external: ['*.wasm', '*.wasm?module', '*/edge-module.js', ...FRAMEWORKS],
    plugins: [
      {
        name: 'built',
        setup: ({ onResolve }) => onResolve({ filter: /^\/|\/(pkg\/dist|glue)\// }, external),
      },
    ],
    loader: { '.json': 'json' },
    logLevel: 'error',
  })
  return Object.keys(metafile.inputs).filter((path) => !path.startsWith('pkg/src/generated/'))
}

const ALL = { ...ENTRIES, ...CALLBACK, ...TOOLS, ...LAZY, ...EXTENSION, ...BINDINGS, ...SERVER, ...PROGRAM }

test('who needs a file of the package needs all that the file contains', async () => {
  for (const source of Object.values(ALL)) {
    const path = `pkg/src/${source}.ts`
    const inputs = await imported(path)
    assert.ok(inputs.includes(path), path)
    const users = needs.filter(([, needed]) => needed.has(path))
    for (const [user, needed] of users) {
      const missing = inputs.filter((input) => !needed.has(input))
      assert.deepEqual(missing, [], `${user} needs ${path}`)
    }
  }
})

test('a test file needs all that it imports', async () => {
  for (const [file, needed] of needs) {
    const inputs = await imported(file)
    assert.deepEqual(
      inputs.filter((input) => !needed.has(input)),
      [],
      file,
    )
  }
})

test('each file of the package is needed by a test', () => {
  const lonely = Object.values(ALL).filter(
    (source) => !needs.some(([, needed]) => needed.has(`pkg/src/${source}.ts`)),
  )
  assert.deepEqual(lonely, [])
})
