// Pages are short enough to be read.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documents, LIMIT, row, tooLong, words } from './words.mjs'

test(`no page has more than ${LIMIT} words outside code`, async () => {
  const { forUsers, ofTheProject, providers } = await documents()
  assert.ok(forUsers.length > 30 && ofTheProject.length > 6 && providers.length > 15)
  assert.deepEqual(tooLong([...forUsers, ...ofTheProject, ...providers]), [])
})

test('control: words outside code and written parts count', () => {
  const text = `
# Two words

\`\`\`sh
not counted
\`\`\`

- a list
  \`\`\`sh
  not counted
  \`\`\`

<!-- facts: Written -->
not counted
<!-- end -->

<!-- only in the repository -->
counted
<!-- end -->
`
  assert.equal(
    words(text),
    '# Two words - a list <!-- only in the repository --> counted <!-- end -->'.split(' ').length,
  )
})

test('control: a page that is too long is found', () => {
  const counts = [
    ['docs/short.md', LIMIT],
    ['docs/long.md', LIMIT + 1],
    ['docs/longer.md', LIMIT + 2],
    ['CHANGELOG.md', LIMIT + 1],
  ]
  assert.deepEqual(
    tooLong(counts).map(([path]) => path),
    ['docs/longer.md', 'docs/long.md'],
  )
})

test('cargo xtask measure prints the sum of all documents', () => {
  const groups = {
    forUsers: [
      ['README.md', 1],
      ['docs/a.md', 5],
    ],
    tables: [['docs/b.md', 7]],
  }
  assert.equal(row(groups)[1], 13)
})
