// Checks that the folders of `src` depend only on the folders that the floor plan in ARCHITECTURE.md allows, and that the
// parts of the vault and of the token handler depend only on the parts below them.
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

/** Returns a source without its comments and tests. */
const codeOf = (source) =>
  source.split(/#\[cfg\(test\)\]\s+(?:pub(?:\([^)]*\))? )?mod tests? /)[0].replace(/^\s*\/\/.*$/gm, '')

/** Returns the modules of the crate's root that a source names, without its comments and tests. */
const imported = (source) => {
  const code = codeOf(source)
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

/** The folders whose parts have an order: the list in the documentation of `src/<folder>.rs`, from top to bottom. */
const ORDERED = ['vault', 'edge']

/** Returns the parts in the list of a module's documentation, in order. */
const listed = (source) => {
  const items = source.match(/^\/\/! - .*(?:\n\/\/! {3}.*)*/gm) ?? []
  return items.flatMap((item) =>
    [...item.matchAll(/(?:- |\. |\.\n\/\/! {3})`(\w+)`:/g)].map(([, name]) => name),
  )
}

/** Returns the parts of `folder` that a file of `part` uses although they are not below it. */
const upwards = (order, folder, part, source) => {
  const names = [...codeOf(source).matchAll(new RegExp(`\\bcrate::${folder}::(\\w+)`, 'g'))].map(
    ([, name]) => name,
  )
  return names.filter((name) => order.includes(name) && order.indexOf(name) < order.indexOf(part))
}

for (const folder of ORDERED) {
  test(`each part of src/${folder} uses only parts below it`, async () => {
    const [[, own], ...files] = await sources(folder)
    const order = listed(own)
    const modules = [...own.matchAll(/^(?:pub(?:\([^)]*\))? )?mod (\w+);/gm)].map(([, name]) => name)
    assert.deepEqual(
      order.toSorted(),
      modules.filter((name) => name !== 'tests').toSorted(),
      'the list is complete',
    )
    for (const [file, source] of files) {
      const [, part] = /^src\/\w+\/(\w+)/.exec(file)
      // `super` in a part's own file would be the whole folder.
      if (file === `src/${folder}/${part}.rs`) assert.doesNotMatch(codeOf(source), /\bsuper::/, file)
      // A group would hide the names in it.
      assert.doesNotMatch(codeOf(source), new RegExp(`\\bcrate::${folder}::\\{`), file)
      assert.deepEqual(upwards(order, folder, part, source), [], file)
    }
  })
}

test('control: a use of a part above is found', () => {
  const order = listed('//! - `a`: first. `b`: second, see `x`.\n//!   `c`: third.\n//! - `d`: last.\nmod a;')
  assert.deepEqual(order, ['a', 'b', 'c', 'd'])
  assert.deepEqual(upwards(order, 'vault', 'c', 'use crate::vault::b::B;\nuse crate::vault::d::D;'), ['b'])
})
