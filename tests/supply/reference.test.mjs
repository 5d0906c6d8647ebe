// The reference has a page for each entry of the package, and on it each export. TypeDoc's warnings are errors: links
// that lead nowhere, types that are used but not exported.
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { entries, write } from '../../pkg/reference/write.mjs'

const dist = fileURLToPath(new URL('../../pkg/dist/', import.meta.url))
const { exports } = JSON.parse(await readFile(new URL('../../pkg/package.json', import.meta.url), 'utf8'))

let folder
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reference-'))
  await write(folder)
})
after(() => rm(folder, { recursive: true }))

const page = (name) => readFile(join(folder, `${name}.md`), 'utf8')

/** Resolves with the names of the values that an entry's file exports. */
async function values(name) {
  const entry = exports[name.replace('strongroom', '.')]
  const file = entry.default ?? Object.values(entry).find((value) => value?.default)?.default
  const { metafile } = await build({
    entryPoints: [file.replace('./dist/', dist)],
    bundle: false,
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  return Object.values(metafile.outputs)[0].exports
}

/** Returns the names that a page lacks. */
const missing = (text, names) => {
  // Markdown escapes underscores.
  const headings = text.replaceAll('\\_', '_')
  return names.filter((name) => !new RegExp(`^### ${name}(\\(\\))?$`, 'm').test(headings))
}

test('each entry has a page with all its exports', async () => {
  const all = await entries()
  assert.ok(all.length > 18)
  let count = 0
  for (const { name } of all) {
    const names = await values(name)
    count += names.length
    assert.deepEqual(missing(await page(name), names), [], name)
  }
  assert.ok(count > 40)
})

test('control: a missing export is noticed', () => {
  assert.deepEqual(missing('### createAuth()\n\n### Auth\n', ['createAuth', 'Auth', 'userAuth']), [
    'userAuth',
  ])
})

test('errors and defaults are in the reference', async () => {
  assert.match(await page('strongroom'), /###### Throws\n\n`StrongroomError`/)
  assert.match(await page('strongroom/worker'), /Default: /)
})
