// The worker's choice of its module, for each option in src/config/options.rs that needs a larger module.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { moduleFor, EXTENDED_OPTIONS, STORED_OPTIONS } = await load(
  'worker/modules.ts',
  'generated/options.ts',
)

/** Returns a configuration with this value in the option at `path`. */
const configured = (path, value) => {
  const [name, parent] = path.split('.').reverse()
  const options = { [name]: value }
  if (!parent) return options
  return { [parent]: parent === 'apis' ? [{ url: 'https://api.example.com/' }, options] : options }
}

for (const option of EXTENDED_OPTIONS.split(' ')) {
  const [path, off = ''] = option.split('=')

  test(`${path} needs the extended module`, () => {
    for (const value of [true, 'x', [], {}]) assert.equal(moduleFor(configured(path, value)), 'extended')
  })

  test(`${path} does not need the extended module while it is off`, () => {
    for (const value of [undefined, false, ...off.split('|')])
      assert.notEqual(moduleFor(configured(path, value)), 'extended')
  })
}

test('each kind of persistence has its module', () => {
  const of = (persist) => moduleFor({ session: { persist } })
  assert.deepEqual(['memory', 'sealed', 'escrow'].map(of), ['default', 'stored', 'extended'])
})

test('a configuration with options of two modules needs the larger one', () => {
  assert.equal(moduleFor({ session: { persist: 'sealed' }, dpop: true }), 'extended')
})

test('control: the options that need a larger module are listed', () => {
  assert.ok(EXTENDED_OPTIONS.split(' ').length > 15)
  assert.equal(STORED_OPTIONS, 'identity session.persist=memory')
})

test('identity needs the stored module', () => {
  for (const identity of ['none', { sub: 'id' }]) assert.equal(moduleFor({ identity }), 'stored')
})

test('options that every module has need no larger module', async () => {
  const source = await readFile(new URL('../../src/config/options.rs', import.meta.url), 'utf8')
  let path = ''
  let count = 0
  for (const [, list, name] of source.matchAll(/^ {4}[A-Z]+ "(.*?)" \{$|^ {8}"(\w+)";$/gm)) {
    if (name === undefined) path = list.replace('[]', '')
    else {
      // The options in `identity` come with `identity`.
      const smallest = path === 'identity.' ? 'stored' : 'default'
      assert.equal(moduleFor(configured(path + name, 'x')), smallest, name)
      count++
    }
  }
  assert.ok(count > 15)
})

test('a malformed configuration needs no larger module', () => {
  for (const config of [
    null,
    1,
    'dpop',
    {},
    { apis: null },
    { apis: 'cache' },
    { apis: [null, 1] },
    { session: 1 },
  ])
    assert.equal(moduleFor(config), 'default', JSON.stringify(config))
})
