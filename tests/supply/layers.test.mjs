// Checks that the folders of `src` depend only on the folders that the floor plan in ARCHITECTURE.md allows, and that the
// parts of the vault and of the token handler depend only on the parts below them in the lists of `src/vault.rs` and
// `src/edge.rs`.
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

/** Returns a source without its comments, its tests, and the visibility of its items. */
const codeOf = (source) =>
  source
    .replace(/^#\[cfg\(test\)\]\n(?:#.*\n)*.*(?:;|\{\n(?:.*\n)*?\})$/gm, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\bpub\([^)]*\)/g, 'pub')

/** Matches a group of paths that contains no other group. */
const GROUP = /((?:\w+::)+)\{([^{}]*)\}/

/** Returns code in which each group of paths is a list of whole paths. */
const withoutGroups = (code) => {
  const whole = code.replace(GROUP, (_, start, group) => {
    const ends = group.match(/[^\s,][^,]*/g) ?? []
    return ends.map((end) => start + end).join(', ')
  })
  return whole === code ? code : withoutGroups(whole)
}

/** Returns the paths in the code of a file that begin with `crate`, `self` or `super`, from the crate's root. */
const pathsOf = (file, source) => {
  const module = file.replace(/^src\/|\.rs$/g, '').split('/')
  const paths = withoutGroups(codeOf(source)).match(/\b(?:crate|self|super)::(?:\w+::)*[\w*]*/g) ?? []
  return paths.map((path) => {
    const names = path.split('::')
    const rest = names.filter((name) => /^(?!(?:crate|self|super)$)\w/.test(name))
    if (names[0] === 'crate') return rest
    const ups = names.filter((name) => name === 'super').length
    return [...module.slice(0, module.length - ups), ...rest]
  })
}

/** Returns the modules of the crate's root that a file names, without its comments and tests. */
const imported = (file, source) => pathsOf(file, source).flatMap(([first]) => first ?? [])

/** Returns the folders that a file uses against the plan. */
const forbidden = (folders, file, source) => {
  const [, folder] = /^src\/(\w+)/.exec(file)
  const allowed = folders.get(folder).match(/`\w+`/g) ?? []
  return imported(file, source).filter(
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
      assert.deepEqual(forbidden(folders, file, source), [], file)
      count += imported(file, source).length
    }
  }
  assert.ok(count > 500)
})

test('control: an import against the plan is found', async () => {
  const folders = await plan()
  const found = (source) => forbidden(folders, 'src/oauth/jwt.rs', source)
  assert.deepEqual(found('use crate::base::strings;\nuse crate::config::Config;'), ['config'])
  assert.deepEqual(found('use crate::{Error, session::Session};'), ['session'])
  assert.deepEqual(found('fn a(config: &crate::config::Config) {}'), ['config'])
  assert.deepEqual(found('use super::super::config::Config;\nuse super::jwks;'), ['config'])
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

/**
 * Returns what a file of a part uses of its folder although it is not below the part: parts above, and items of the
 * folder's own file.
 */
const upwards = (order, file, source) => {
  const [, folder, part] = /^src\/(\w+)\/(\w+)/.exec(file)
  const below = order.slice(order.indexOf(part))
  return pathsOf(file, source)
    .filter(([first]) => first === folder)
    .map(([, name = folder]) => name)
    .filter((name) => !below.includes(name))
}

for (const folder of ORDERED) {
  test(`each part of src/${folder} uses only parts below it`, async () => {
    const [[, own], ...files] = await sources(folder)
    const order = listed(own)
    const modules = [...codeOf(own).matchAll(/^(?:pub )?mod (\w+);/gm)].map(([, name]) => name)
    assert.deepEqual(order.toSorted(), modules.toSorted(), 'the list is complete')
    let count = 0
    for (const [file, source] of files) {
      assert.deepEqual(upwards(order, file, source), [], file)
      count += pathsOf(file, source).filter(([first]) => first === folder).length
    }
    assert.ok(count > 100)
  })
}

test('the list of parts is read in its order', () => {
  const order = listed('//! - `a`: first. `b`: second, see `x`.\n//!   `c`: third.\n//! - `d`: last.\nmod a;')
  assert.deepEqual(order, ['a', 'b', 'c', 'd'])
})

test('control: a use of a part above, or of the file above all parts, is found', () => {
  const found = (source, file = 'src/edge/c.rs') => upwards(['a', 'b', 'c', 'd'], file, source)
  const below = 'src/edge/c/e.rs'
  assert.deepEqual(found('use crate::edge::b::B;\nuse crate::edge::d::D;\nuse crate::edge::c::C;'), ['b'])
  assert.deepEqual(found('use crate::{base::clock, edge::{a, d::{self, b}}};'), ['a'])
  assert.deepEqual(found('use crate::edge::{\n    b::B,\n    d,\n};'), ['b'])
  assert.deepEqual(found('fn f(b: &crate::edge::b::B) {}'), ['b'])
  assert.deepEqual(found('use super::b;\npub(super) use self::e::E;'), ['b'])
  assert.deepEqual(found('use super::super::b;\nuse super::C;', below), ['b'])
  assert.deepEqual(found('use super::{C, super::{a, d}};', below), ['a'])
  assert.deepEqual(found('use crate::edge::Handler;\nuse crate::edge::*;'), ['Handler', 'edge'])
  assert.deepEqual(found('use crate::edge;\nuse super::*;'), ['edge', 'edge'])
  assert.deepEqual(found('#[cfg(test)]\nmod tests {\n    f();\n}\n\nuse super::a;'), ['a'])
})

test('control: doc links, tests and visibility are not uses', () => {
  const found = (source) => upwards(['a', 'b'], 'src/edge/b.rs', source)
  assert.deepEqual(found('/// See [`a`](crate::edge::a) and [`super::a::f`].\nfn f() {}'), [])
  assert.deepEqual(found('#[cfg(test)]\nmod tests {\n    use crate::edge::a;\n}\n'), [])
  assert.deepEqual(found('#[cfg(test)]\nuse super::a;\npub(in crate::edge) struct B;'), [])
})
