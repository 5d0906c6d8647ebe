// docs/options.md lists every option of the vault and of the token handler, with the types and defaults of the sources.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { defaultIn, interfaceMembers, readDocument, written } from '../../pkg/options.mjs'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

test('docs/options.md has the types and defaults of the sources', async () => {
  const document = await readDocument()
  assert.equal(document, await written(document), '`cargo xtask options` writes the tables')
})

test('control: another default in a table is noticed', async () => {
  const document = (await readDocument()).replace('| 1800 |', '| 3600 |')
  assert.notEqual(document, await written(document))
})

/** The core's lists of option names in src/config/options.rs, and the interfaces with the same names. */
const LISTS = { VAULT: 'VaultConfig', SESSION: 'SessionLimits', RULE: 'ApiRule' }

for (const [list, name] of Object.entries(LISTS)) {
  test(`${name} has every option of the core`, async () => {
    const source = await read('src/config/options.rs')
    const [, entries] = new RegExp(`^ {4}${list} ".*?" \\{(.*?)^ {4}\\}`, 'ms').exec(source)
    const known = [...entries.matchAll(/^ {8}"(\w+)"/gm)].map(([, option]) => option)
    const described = interfaceMembers(await read('pkg/src/worker/config.ts'), name).map(
      (member) => member.name,
    )
    assert.deepEqual(described.sort(), known.sort())
  })
}

test('members of an interface are read', () => {
  const source = `export interface A extends B {
  /** One. Default 5. */
  a?: number
  /**
   * Two {@link C}.
   */
  b: {
    /** Three. */
    c?: 'x' | 'y'
  }
  d:
    | 'e'
    | 'f'
}
`
  assert.deepEqual(interfaceMembers(source, 'A'), [
    { name: 'a', isOptional: true, text: 'One. Default 5.', type: 'number' },
    { name: 'b', isOptional: false, text: 'Two `C`.', type: 'object' },
    { name: 'b.c', isOptional: true, text: 'Three.', type: "'x' | 'y'" },
    { name: 'd', isOptional: false, text: '', type: "'e' | 'f'" },
  ])
})

test('defaults are read from comments', () => {
  const cases = {
    'One. Default 5.': '5',
    'One. Default: a, b, c. Two.': 'a, b, c',
    'One. Default `a`: two.': '`a`',
    'One. Default: A and B, if two. Three.': 'A and B',
    '`a` (default): one. `b`: two.': '`a`',
    'One, which is not the Default 5.': undefined,
  }
  for (const [text, value] of Object.entries(cases)) assert.equal(defaultIn(text), value, text)
})
