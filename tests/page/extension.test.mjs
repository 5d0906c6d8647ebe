// The bridge of an extension: which senders it accepts, and which messages.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { load } from '../support/page_module.mjs'

const ID = 'abcdefghijklmnopabcdefghijklmnop'
const OWN = `chrome-extension://${ID}`

let isOwnSender, MAX_BODY, pack, parse, unpack

before(async () => {
  Object.assign(globalThis, { chrome: { runtime: { id: ID } }, location: { origin: OWN } })
  ;({ isOwnSender, MAX_BODY, pack, parse, unpack } = await load('extension/sender.ts', 'extension/wire.ts'))
})

const page = { id: ID, url: `${OWN}/popup.html`, origin: OWN, documentId: 'D' }
const serviceWorker = { id: ID, url: `${OWN}/background.js` }

test('own pages and the service worker are accepted', () => {
  for (const sender of [page, serviceWorker, { ...page, frameId: 0, tab: { id: 1 } }]) {
    assert.equal(isOwnSender(sender), true, JSON.stringify(sender))
  }
})

for (const [name, sender] of Object.entries({
  'nothing is known': undefined,
  'sender is empty': {},
  'content script': { ...page, url: 'https://site.example/', origin: 'https://site.example', tab: {} },
  'content script without an origin': { id: ID, url: 'https://site.example/' },
  'content script in a blank frame': { ...page, url: 'about:blank', origin: 'https://site.example' },
  'frame without an origin': { ...page, origin: 'null' },
  'page without an origin': { ...page, origin: undefined },
  'page in a frame': { ...page, frameId: 3, tab: {} },
  'tab of unknown origin': { ...serviceWorker, tab: {} },
  'another extension': { ...page, id: 'p'.repeat(32) },
  'id that begins with the own id': { ...page, url: `${OWN}a/popup.html` },
  'no id': { ...page, id: undefined },
})) {
  // claim: extension-1
  test(`refused: ${name}`, () => assert.equal(isOwnSender(sender), false))
}

test('bytes cross as base64', () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i * 7)
  const wire = JSON.parse(JSON.stringify(pack([3, bytes])))
  assert.deepEqual(unpack(wire), [3, bytes])
  const head = ['{"t":"head"}', [[['content-type', 'a']], bytes]]
  assert.deepEqual(unpack(JSON.parse(JSON.stringify(pack(head)))), head)
})

test('messages of a page are parsed', () => {
  assert.equal(parse(7), 7)
  assert.deepEqual(parse(['{}']), ['{}'])
  assert.deepEqual(parse(['{}', null]), ['{}'])
  const [text, body] = parse(pack(['{}', new Uint8Array([1, 2]).buffer]))
  assert.deepEqual([text, [...new Uint8Array(body)]], ['{}', [1, 2]])
})

// claim: extension-3
test('a body up to the limit crosses', () => {
  const base64 = 'A'.repeat(Math.ceil(MAX_BODY / 3) * 4)
  assert.ok(parse(['{}', { base64 }]))
  assert.equal(parse(['{}', { base64: base64 + 'AAAA' }]), undefined)
})

for (const message of [
  undefined,
  null,
  'text',
  true,
  {},
  [],
  [1],
  [null],
  ['{}', 'body'],
  ['{}', { base64: 1 }],
  ['{}', { base64: '?' }],
  ['{}', { base64: '' }, 0],
  ['{'.repeat(300_000)],
]) {
  test(`refused: ${JSON.stringify(message)?.slice(0, 40)}`, () => assert.equal(parse(message), undefined))
}
