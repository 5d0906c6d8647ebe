// The types that compare the messages of TypeScript with those of Rust (xtask/src/facts/members.rs).
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const TYPES = fileURLToPath(new URL('../../pkg/src/generated/members.js', import.meta.url))
const COMPILER = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))

/** The messages in TypeScript. */
const MESSAGES = `{ t: 'open'; id: number; key: number; name?: 'a' | 'b' } | { t: 'next' }`

/** Descriptions of the same messages by Rust, without `id`, which every message has. */
const SAME = [`{ open: { key: number; name?: string }; next: {} }`]
const OTHERS = [
  `{ open: { kay: number; name?: string }; next: {} }`,
  `{ open: { key: string; name?: string }; next: {} }`,
  `{ open: { key: number; name: string }; next: {} }`,
  `{ open: { key: number }; next: {} }`,
  `{ open: { key: number; name?: string; more?: string }; next: {} }`,
  `{ open: { key: number; name?: string } }`,
  `{ open: { key: number; name?: string }; next: {}; close: {} }`,
]
/** A message that Rust writes need not have the key. A page that sends the message may still always send the key. */
const SOMETIMES = `{ open: { key?: number; name?: string }; next: {} }`

/** Resolves with the compiler's errors. */
const errorsIn = async (lines) => {
  const folder = await mkdtemp(join(tmpdir(), 'members-'))
  const file = join(folder, 'check.ts')
  const head = `import type { Differing, DifferingWritten, Same } from '${TYPES}'\ntype Messages = ${MESSAGES}\n`
  try {
    await writeFile(file, head + lines.join('\n'))
    const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--types', '', file]
    await promisify(execFile)(process.execPath, [COMPILER, ...options])
    return ''
  } catch (error) {
    return error.stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}

const comparison = (name) => (members, i) =>
  `export type ${name}${i} = Same<${name}<Messages, ${members}, 't' | 'id'>>`

test('only equal descriptions of messages compile', { timeout: 60_000 }, async () => {
  const accepted = ['Differing', 'DifferingWritten'].flatMap((name) => SAME.map(comparison(name)))
  const refused = ['Differing', 'DifferingWritten'].flatMap((name) => OTHERS.map(comparison(name)))
  const lines = [
    ...accepted.map((line) => line.replace('type ', 'type Good')),
    comparison('Differing')(SOMETIMES, 'Read'),
    ...[...refused, comparison('DifferingWritten')(SOMETIMES, 'Some')].flatMap((line) => [
      '// @ts-expect-error: the descriptions differ.',
      line,
    ]),
  ]
  assert.equal(await errorsIn(lines), '')
})

test('control: compiler reports a difference that no line expects', { timeout: 60_000 }, async () => {
  assert.match(await errorsIn(OTHERS.slice(0, 1).map(comparison('Differing'))), /'"open"' does not satisfy/)
})
