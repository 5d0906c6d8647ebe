// Checks that the files, functions and tests that ARCHITECTURE.md names exist, and the places in docs/recipes.md.
import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { test } from 'node:test'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const exists = (path) =>
  access(new URL(path, root)).then(
    () => true,
    () => false,
  )

/** Matches a block of code, such as a picture. */
const BLOCK = /^```.*?^```/gms

/** Returns the strings in backticks outside of blocks of code. */
const quoted = (text) => [...text.replace(BLOCK, '').matchAll(/`([^`]+)`/g)].map(([, inner]) => inner)

/** Matches the folders that the build writes, which a clone does not have at first. */
const WRITTEN = /^pkg\/(glue|src\/generated)$/

/** Returns the paths that a document names, also in its pictures, without folders that the build writes. */
const paths = (text) => [
  ...quoted(text)
    .map((inner) => inner.split(': ')[0])
    .filter((inner) => /^(src|pkg|tests)\/[\w./-]+$/.test(inner) && !WRITTEN.test(inner)),
  ...(text.match(BLOCK) ?? []).flatMap((block) => block.match(/\b(?:src|pkg|tests)\/[\w/-]+(\.\w+)?/g) ?? []),
]

/** Returns the files and names that a document connects: `file: name`, or a file and a name in one row of a table. */
const names = (text) =>
  text.split('\n').flatMap((line) => {
    const pairs = quoted(line)
      .map((inner) => inner.split(': '))
      .filter(([file, name]) => name && /\.(rs|ts|mjs)$/.test(file))
    const [, first = '', second = ''] = line.split('|')
    const [file] = quoted(first)
    const isJourney = /\.(rs|ts)$/.test(file)
    return isJourney ? [...pairs, ...quoted(second).map((name) => [file, name])] : pairs
  })

/** Returns true if a source defines a function, type or test of this name. */
const defines = (source, name) =>
  new RegExp(`(fn|struct|enum|class|const|function|async) ${name}\\b|^    ${name}: MUTATIONS`, 'm').test(
    source,
  )

/**
 * Resolves with the paths in a document that do not exist, and with `file: name` for each name that the document
 * connects with a file which does not define this name.
 */
const missing = async (text) => {
  const found = []
  for (const path of paths(text)) if (!(await exists(path))) found.push(path)
  for (const [file, name] of names(text)) {
    if ((await exists(file)) && !defines(await read(file), name)) found.push(`${file}: ${name}`)
  }
  return found
}

test('every file, function and test exists', async () => {
  const text = await read('ARCHITECTURE.md')
  assert.ok(names(text).length > 120)
  assert.deepEqual(await missing(text), [])
})

/** Resolves with the places in recipes that do not exist: a file, or the name in `` `name` in `file` ``. */
const lost = async (text) => {
  const files = quoted(text)
    .map((inner) => inner.split(': ')[0])
    .filter((inner) => /^(src|pkg|tests|docs|www|xtask|benches)\/[\w./-]+$/.test(inner))
  const found = []
  for (const file of files) if (!(await exists(file))) found.push(file)
  for (const [file, name] of names(text)) {
    if ((await exists(file)) && !defines(await read(file), name)) found.push(`${file}: ${name}`)
  }
  for (const [, name, other, file] of text.matchAll(/`([\w:]+)!?`(?: and `(\w+)`)? in `([\w./-]+\.\w+)`/g)) {
    if (!(await exists(file))) continue
    // A file that only uses a type is not the place that has it.
    const source = (await read(file)).replace(/^import .*$/gm, '')
    const has = (name) => new RegExp(`(?<!: |<)\\b${name.split('::').pop()}\\b`).test(source)
    const missing = [name, other].filter((name) => name && !has(name))
    found.push(...missing.map((name) => `${file}: ${name}`))
  }
  return found
}

test('every place that a recipe names exists', async () => {
  const recipes = await read('docs/recipes.md')
  assert.ok(quoted(recipes).length > 60)
  assert.deepEqual(await lost(recipes), [])
})

test('control: a place that does not exist is reported', async () => {
  const row =
    '| `codes!` in `src/rules/base/error.rs`, `ALL` and `neither` in `src/rules/base/error.rs`, `src/none.rs`, `src/vault/lib.rs: nor` |'
  assert.deepEqual(await lost(row), [
    'src/none.rs',
    'src/vault/lib.rs: nor',
    'src/rules/base/error.rs: neither',
  ])
})

test('no journey enters a file twice', async () => {
  const journeys = (await read('ARCHITECTURE.md')).split('\n## Journey ').slice(1)
  assert.equal(journeys.length, 3)
  for (const journey of journeys) {
    const [table] = journey.split('\n## ')
    const files = [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, file]) => file)
    assert.ok(files.length > 10)
    assert.deepEqual(files, [...new Set(files)])
  }
})

test('control: a missing file or name is reported', async () => {
  const picture = '```mermaid\nflowchart LR\n  a["a<br>src/vault<br>src/nowhere"]\n```\n'
  const row = '| `src/vault/lib.rs` | `poll`, `nothing` | see `src/vault/lib.rs: neither` and `src/none.rs` |'
  assert.deepEqual(await missing(picture + row), [
    'src/none.rs',
    'src/nowhere',
    'src/vault/lib.rs: neither',
    'src/vault/lib.rs: nothing',
  ])
})
