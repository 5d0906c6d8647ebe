// What the TypeScript says of itself, it says in the words of the one list of errors.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

const unquote = (literal) => Function(`return ${literal}`)()

const advice = new Map(
  [...(await read('src/error.rs')).matchAll(/^ {4}\w+ = ("\w+"), ("(?:[^"\\]|\\.)*");$/gm)].map(
    ([, code, sentence]) => [unquote(code), unquote(sentence)],
  ),
)

const STRING = /(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")/.source

test('the list was read', () => {
  assert.ok(advice.size > 30)
})

test('what page and worker compose has the list’s sentences', async () => {
  const files = await readdir(new URL('../../pkg/src/', import.meta.url))
  let count = 0
  for (const file of files) {
    const text = await read(`pkg/src/${file}`)
    for (const [, code] of text.matchAll(RegExp(`compose\\(\\s*(${STRING})`, 'g'))) {
      const sentence = advice.get(unquote(code))
      const literals = [...text.matchAll(RegExp(STRING, 'g'))].map(([literal]) => unquote(literal))
      assert.ok(literals.includes(sentence), `${file} does not say: ${sentence}`)
      count++
    }
  }
  assert.ok(count >= 10)
})
