// docs/options.md lists every option of the vault and of the token handler, with the types and defaults of the sources.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import * as intervals from '../../pkg/intervals.mjs'
import { defaultIn, interfaceMembers, readDocument, written } from '../../pkg/options.mjs'
import { anchors } from '../support/markdown.mjs'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

test('docs/options.md has the types and defaults of the sources', async () => {
  const document = await readDocument()
  assert.equal(document, await written(document), '`cargo xtask options` writes the descriptions')
})

test('control: another default is noticed', async () => {
  const document = await readDocument()
  const other = document.replace('Default: 1800.', 'Default: 3600.')
  assert.notEqual(other, document)
  assert.equal(await written(other), document)
})

test('docs/intervals.md has the constants of the sources', async () => {
  const document = await intervals.readDocument()
  assert.equal(document, await intervals.written(document), '`cargo xtask options` writes the table')
  const other = document.replace('| 8 s |', '| 9 s |')
  assert.notEqual(other, document)
  assert.equal(await intervals.written(other), document)
})

test('a constant has its value and the first sentence of its comment', () => {
  const source =
    '/// How long. See [`b`].\npub(crate) const A_B: Millis = Millis::from_secs(3_600);\nconst C: u32 = 3;\n'
  assert.deepEqual(intervals.constantsOf(source), [
    { name: 'A_B', type: 'Millis', value: 'Millis::from_secs(3600)', what: 'How long.' },
    { name: 'C', type: 'u32', value: '3', what: '' },
  ])
})

/** The interfaces that docs/options.md describes, and the beginning of the names in its headings. */
const INTERFACES = {
  'pkg/src/worker/config.ts': {
    VaultConfig: '',
    SessionLimits: 'session.',
    ApiRule: 'apis[].',
    UserMembers: 'identity.',
    TokenResponseIdentity: 'identity.',
    ProfileIdentity: 'identity.',
  },
  'pkg/src/worker/worker.ts': { VaultOptions: 'options.' },
  'pkg/src/page/auth/auth.ts': { AuthOptions: 'createAuth.' },
  'pkg/src/page/api.ts': {
    ConnectOptions: 'connect.',
    LoginOptions: 'auth.login.',
    LogoutOptions: 'auth.logout.',
    VaultRequestInit: 'auth.fetch.',
  },
  'pkg/src/callback/finish-login.ts': { FinishLoginOptions: 'finishLogin.' },
  'pkg/src/edge/config.ts': { TokenHandlerConfig: 'handler.', Route: 'routes[].' },
}

/** Resolves with the names of all options, as the headings of docs/options.md write them. */
const options = async () => {
  const names = Object.entries(INTERFACES).map(async ([path, interfaces]) => {
    const source = await read(path)
    return Object.entries(interfaces).flatMap(([name, start]) =>
      interfaceMembers(source, name).map((member) => start + member.name),
    )
  })
  return (await Promise.all(names)).flat()
}

/** Resolves with the codes in src/rules/base/error.rs. */
const codes = async () =>
  [...(await read('src/rules/base/error.rs')).matchAll(/^ {4}\w+ = "(\w+)", "/gm)].map(([, code]) => code)

for (const [document, names, least] of [
  ['docs/errors.md', codes, 60],
  ['docs/options.md', options, 100],
]) {
  test(`${document}: each name has one heading with an anchor of its own`, async () => {
    const text = await read(document)
    const all = (await names()).map((name) => `\`${name}\``)
    assert.ok(all.length >= least, `${all.length}`)
    const found = [...text.matchAll(/^### (.*)$/gm)].map(([, title]) => title)
    assert.deepEqual(found.toSorted(), all.toSorted())
    const slugs = anchors(text)
    assert.deepEqual(
      slugs.filter((slug, i) => slugs.indexOf(slug) !== i),
      [],
      'two headings have the same anchor',
    )
    for (const slug of anchors(all.map((name) => `# ${name}`).join('\n'))) {
      assert.ok(text.includes(`](#${slug})`), `no link leads to #${slug}`)
    }
  })
}

/** The core's lists of option names in src/vault/config/options.rs, and the interfaces with the same names. */
const LISTS = { VAULT: 'VaultConfig', SESSION: 'SessionLimits', RULE: 'ApiRule' }

for (const [list, name] of Object.entries(LISTS)) {
  test(`${name} has every option of the core`, async () => {
    const source = await read('src/vault/config/options.rs')
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
