// A coordinator of one's own: the guide's file runs the conformance checks, and the log describes results of a wrong shape.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { leftOut } from '../../support/combinations.mjs'
import { newFolder } from '../../support/edge/bundle.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { readGuide } from '../../recipes/guide.mjs'

const COORDINATORS = {
  right: "import { inIsolate } from 'strongroom/edge'\nexport const myCoordinator = inIsolate()",
  wrong:
    'export const myCoordinator = () => ({ read: async () => [], swap: async () => null, wait: async () => {} })',
}

for (const [kind, code] of Object.entries(COORDINATORS)) {
  leftOut(`file of the guide tests a ${kind} coordinator`, { timeout: 120_000 }, async (t) => {
    const guide = await readGuide('docs/edge-deploy.md')
    const folder = await newFolder()
    t.after(folder.remove)
    const files = {
      'package.json': '{ "type": "module" }',
      'coordinator.js': code,
      'coordinator.test.js': guide.block('// coordinator.test.js'),
    }
    for (const [name, text] of Object.entries(files)) await writeFile(`${folder.path}/${name}`, text)
    // Without this variable, a test runner inside of another one would report to it.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const args = ['--test', '--test-reporter', 'tap', 'coordinator.test.js']
    const output = await new Promise((resolve) =>
      execFile(process.execPath, args, { cwd: folder.path, env }, (_error, stdout) => resolve(stdout)),
    )
    const [, failed] = /^# fail (\d+)$/m.exec(output)
    if (kind === 'right') assert.equal(failed, '0', output)
    else assert.notEqual(failed, '0')
    assert.match(output, /exactly one of a hundred writers creates a key/)
  })
}

const SHAPES = {
  'read() returned an array: return { entries: <this array> }': {
    read: async (keys) => keys.map(() => null),
  },
  'read() must return { entries } or { entries, time }': { read: async () => null },
  'read() returned 0 entries for 1 keys': { read: async () => ({ entries: [] }) },
  'read() returned an entry that is not { value, version } of two strings': {
    read: async (keys) => ({ entries: keys.map(() => ({ value: 'x', version: 1 })) }),
  },
  'read() returned a `time` that is not a number of milliseconds': {
    read: async (keys) => ({ entries: keys.map(() => null), time: new Date() }),
  },
  'swap() must return { value, version } of two strings, or null': { swap: async () => true },
}
for (const [message, wrong] of Object.entries(SHAPES)) {
  test(`log says: ${message}`, { timeout: 60_000 }, async (t) => {
    const told = new Set()
    const coordinator = { ...inIsolate()({}), ...wrong }
    const app = await startInProcess(createTokenHandler, {
      accessTokenSeconds: 2,
      handler: {
        coordinator: () => coordinator,
        session: { storage: 'in-store' },
        log: ({ code, message }) => told.add(`${code}: ${message.replace(/for \d+ keys/, 'for 1 keys')}`),
      },
    })
    t.after(app.close)
    const visitor = new Visitor(app.place)
    await visitor.signIn()
    await visitor.session()
    const named = [...told].some(
      (line) => line.startsWith('coordinator_unavailable') && line.includes(`: ${message}; `),
    )
    assert.ok(named, [...told].join('\n'))
  })
}

test('version may have any characters', { timeout: 60_000 }, async (t) => {
  const NOTES = ['', 'é', '€', '😀 is two code units']
  const { read, swap, ...rest } = inIsolate()({})
  const unmarked = (version) => version && version.slice(0, version.indexOf('|'))
  const marked = (entry) => {
    if (!entry) return entry
    const version = [entry.version, ...NOTES].join('|')
    return { ...entry, version }
  }
  const wanted = []
  const coordinator = {
    ...rest,
    async read(keys) {
      const { entries } = await read(keys)
      return { entries: entries.map(marked) }
    },
    async swap(key, version, value, seconds) {
      if (version) wanted.push(version.slice(version.indexOf('|')))
      return marked(await swap(key, unmarked(version), value, seconds))
    },
  }
  const app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 600,
    handler: { coordinator: () => coordinator, session: { storage: 'in-store', recheck: 0 } },
  })
  t.after(app.close)
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  await visitor.call('/auth/logout', { method: 'POST' })
  assert.deepEqual([...new Set(wanted)], ['|' + NOTES.join('|')])
})

// claim: handler-61
test('entry that the core cannot read is in no line', { timeout: 60_000 }, async (t) => {
  const told = []
  // No text of JSON has half of a surrogate pair. A query may return more columns.
  const row = { value: '\ud800', version: '1', email: 'canary@example.com' }
  const app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: 2,
    handler: {
      coordinator: () => ({ ...inIsolate()({}), read: async (keys) => ({ entries: keys.map(() => row) }) }),
      session: { storage: 'in-store', recheck: 0 },
      log: ({ message }) => told.push(message),
      observe: (event) => told.push(JSON.stringify(event)),
    },
  })
  t.after(app.close)
  const visitor = new Visitor(app.place)
  await visitor.signIn()
  await visitor.session()
  const text = told.join('\n')
  assert.match(text, /the coordinator is down: it cannot be read; /)
  assert.doesNotMatch(text, /canary|entries|ud800/)
})
