// The worker's choice of its module, for each option in src/config/options.rs that needs the larger module.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { needsExtended, EXTENDED_OPTIONS } = await load('worker/modules.ts', 'generated/options.ts')

/** Returns a configuration with this value in the option at `path`. */
const configured = (path, value) => {
  const [name, parent] = path.split('.').reverse()
  const options = { [name]: value }
  if (!parent) return options
  return { [parent]: parent === 'apis' ? [{ url: 'https://api.example.com/' }, options] : options }
}

for (const option of EXTENDED_OPTIONS.split(' ')) {
  const [path, off] = option.split('=')

  test(`${path} needs the larger module`, () => {
    for (const value of [true, 'x', [], {}]) assert.equal(needsExtended(configured(path, value)), true)
  })

  test(`${path} needs no larger module while it is off`, () => {
    for (const value of [undefined, false, off]) assert.equal(needsExtended(configured(path, value)), false)
  })
}

test('control: the options that need the larger module are listed', () => {
  assert.ok(EXTENDED_OPTIONS.split(' ').length > 15)
  assert.ok(EXTENDED_OPTIONS.includes('session.persist=memory'))
})

test('options that every module has need no larger module', async () => {
  const source = await readFile(new URL('../../src/config/options.rs', import.meta.url), 'utf8')
  let path = ''
  let count = 0
  for (const [, list, name] of source.matchAll(/^ {4}[A-Z]+ "(.*?)" \{$|^ {8}"(\w+)";$/gm)) {
    if (name === undefined) path = list.replace('[]', '')
    else {
      assert.equal(needsExtended(configured(path + name, 'x')), false, name)
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
    assert.equal(needsExtended(config), false, JSON.stringify(config))
})
