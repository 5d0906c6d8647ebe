// Checks that the folders of `src` depend only on the folders that the floor plan in ARCHITECTURE.md allows.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'

const root = new URL('../../', import.meta.url)

/** Resolves with the folders of `src` in the floor plan, each with the folders that it may depend on. */
const plan = async () => {
  const text = await readFile(new URL('ARCHITECTURE.md', root), 'utf8')
  const rows = [...text.matchAll(/^\| `src\/(\w+)` \|.*\| (.+) \|$/gm)]
  return new Map(rows.map(([, folder, allowed]) => [folder, allowed]))
}

/** Resolves with the sources of a folder: `src/<folder>.rs` and the files below `src/<folder>`. */
const sources = async (folder) => {
  const below = await readdir(new URL(`src/${folder}`, root), { recursive: true })
  const files = below.filter((file) => file.endsWith('.rs')).map((file) => `src/${folder}/${file}`)
  return Promise.all(
    [`src/${folder}.rs`, ...files].map(async (file) => [file, await readFile(new URL(file, root), 'utf8')]),
  )
}

/** Returns the modules of the crate's root that a source names, without its comments and tests. */
const imported = (source) => {
  const code = source
    .split(/#\[cfg\(test\)\]\s+(?:pub(?:\([^)]*\))? )?mod tests? /)[0]
    .replace(/^\s*\/\/.*$/gm, '')
  const single = [...code.matchAll(/\bcrate::(\w+)/g)].map(([, name]) => name)
  const groups = [...code.matchAll(/\bcrate::\{([^;]*)\};/g)].flatMap(
    ([, group]) => group.match(/\w+/g) ?? [],
  )
  return [...single, ...groups]
}

/** Returns the folders that a source uses against the plan. */
const forbidden = (folders, folder, source) => {
  const allowed = folders.get(folder).match(/`\w+`/g) ?? []
  return imported(source).filter(
    (name) => folders.has(name) && name !== folder && !allowed.includes(`\`${name}\``),
  )
}

test('each folder depends on the folders that the floor plan allows', async () => {
  const folders = await plan()
  assert.ok(folders.size > 9)
  let count = 0
  for (const [folder, allowed] of folders) {
    if (allowed === 'anything') continue
    for (const [file, source] of await sources(folder)) {
      assert.deepEqual(forbidden(folders, folder, source), [], file)
      count += imported(source).length
    }
  }
  assert.ok(count > 500)
})

test('control: an import against the plan is found', async () => {
  const folders = await plan()
  const found = (source) => forbidden(folders, 'oauth', source)
  assert.deepEqual(found('use crate::base::strings;\nuse crate::config::Config;'), ['config'])
  assert.deepEqual(found('use crate::{Error, session::Session};'), ['session'])
  assert.deepEqual(found('fn a(config: &crate::config::Config) {}'), ['config'])
  assert.deepEqual(found('// crate::vault\n#[cfg(test)]\nmod tests {\n    use crate::config::Config;\n}'), [])
})

test('the floor plan has no cycle', async () => {
  const folders = await plan()
  const above = new Set()
  for (const [folder, allowed] of folders) {
    for (const [, name] of allowed.matchAll(/`(\w+)`/g)) assert.ok(above.has(name), `${folder} uses ${name}`)
    above.add(folder)
  }
})
