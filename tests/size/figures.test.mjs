// The sizes in the documents are those of the built package.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { measureOwn, measurePeers } from '../../benches/downloads.mjs'
import { SENTENCES, compare, read, sizesOf, updated } from '../../benches/figures.mjs'

/**
 * A size may differ by one and a half units of its last digit, or by two percent, so that not every small change has to
 * update documents.
 */
const isClose = ({ said, measured, digits }) =>
  Math.abs(said - measured) <= Math.max(1.5 * 10 ** -digits, 0.02 * measured)

let sizes
before(async () => {
  sizes = sizesOf([...(await measureOwn()), ...(await measurePeers())])
})

for (const sentence of SENTENCES) {
  test(`${sentence.file}: ${sentence.text}`, async () => {
    const wrong = compare(await read(sentence.file), sentence, sizes).filter((one) => !isClose(one))
    assert.deepEqual(wrong, [], '`cargo xtask size --write` writes the sizes')
  })
}

test('control: a size that is out of date is noticed, and written', async () => {
  const sentence = { file: 'a.md', text: 'The page has {page:1} KB and both have {worker+module:0} KB.' }
  const stale = 'Before. The page has 9.9 KB and both have 1 KB. After.'
  assert.deepEqual(
    compare(stale, sentence, { page: 5.24, worker: 4, module: 80.6 }).map((one) => [
      one.measured,
      isClose(one),
    ]),
    [
      [5.2, false],
      [85, false],
    ],
  )
  const fresh = updated(stale, sentence, { page: 5.24, worker: 4, module: 80.6 })
  assert.equal(fresh, 'Before. The page has 5.2 KB and both have 85 KB. After.')
})

test('control: a sentence that a document no longer has is noticed', () => {
  const sentence = { file: 'a.md', text: 'The page has {page:1} KB' }
  assert.throws(() => compare('The page weighs 5 KB', sentence, { page: 5 }), /a\.md has this 0 times/)
})
