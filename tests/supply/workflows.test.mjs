// Checks the workflows of the code host: their rights, the actions that they use, and the commands that they run.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, matchesGlob } from 'node:path/posix'
import { test } from 'node:test'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const tracked = (pattern) =>
  execFileSync('git', ['ls-files', pattern], { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean)

const folder = '.github/workflows/'
const names = await readdir(new URL(folder, root))
const workflows = new Map(await Promise.all(names.map(async (name) => [name, await read(folder + name)])))
const setup = await read('.github/actions/node/action.yml')

/** Returns the actions that are not pinned by a commit, with the version in a comment. */
const unpinned = (text) =>
  [...text.matchAll(/uses: (.*)/g)]
    .map(([, action]) => action)
    .filter((action) => !action.startsWith('./') && !/^[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action))

test('workflows have no rights but those that a job names', () => {
  assert.deepEqual([...workflows.keys()].sort(), ['checks.yml', 'nightly.yml', 'release.yml', 'weekly.yml'])
  for (const [name, text] of workflows) assert.match(text, /^permissions: \{\}$/m, name)
})

test('only the job that publishes may write', () => {
  for (const [name, text] of workflows) {
    const jobs = text.split(/^ {2}(?=[\w-]+:$)/m).filter((job) => /: write/.test(job))
    assert.deepEqual(
      jobs.map((job) => job.split(':')[0]),
      name === 'release.yml' ? ['publish'] : [],
      name,
    )
  }
})

test('actions are pinned by commit', () => {
  for (const [name, text] of [...workflows, ['the action', setup]]) assert.deepEqual(unpinned(text), [], name)
})

test('control: an action without a commit is noticed', () => {
  const action = 'actions/checkout@'
  const commit = '0'.repeat(40)
  const pinned = `uses: ${action}${commit} # v7.0.1`
  assert.deepEqual(unpinned(`${pinned}\nuses: ./own\nuses: ${action}v7\nuses: ${action}${commit}`), [
    `${action}v7`,
    action + commit,
  ])
})

/** The kinds of tests, with `quick`, which repeats others. */
const [, variants] = /enum Kind \{(.*?)^\}/ms.exec(await read('xtask/src/test.rs'))
const kinds = [...variants.matchAll(/^ {4}(\w+),$/gm)].map(([, kind]) => kind.toLowerCase())

test('each pull request runs all kinds of tests', () => {
  const rows = [...workflows.get('checks.yml').matchAll(/^ {12}tests: (.*)$/gm)].map(([, row]) => row)
  const named = rows.flatMap((row) => row.replace(/ --part .*/, '').split(' '))
  assert.deepEqual([...new Set(named)].sort(), kinds.filter((kind) => kind !== 'quick').sort())
  const parts = rows.filter((row) => row.includes('--part')).map((row) => row.replace(/.* --part /, ''))
  assert.deepEqual(parts, ['1/2', '2/2'])
})

test('each command of a workflow is a command of the xtask', async () => {
  const main = await read('xtask/src/main.rs')
  const commands = new Set([...main.matchAll(/^ {8}Command::(\w+)/gm)].map(([, name]) => name.toLowerCase()))
  const used = [...workflows.values()].flatMap((text) => [
    ...text.matchAll(/cargo xtask (\w+)(?: (\w+)$)?/gm),
  ])
  assert.ok(used.length > 8)
  for (const [line, command, kind] of used) {
    assert.ok(commands.has(command), line)
    if (command === 'test' && kind) assert.ok(kinds.includes(kind), line)
  }
})

test('releases and the oldest compiler are those of Cargo.toml', async () => {
  const manifest = await read('Cargo.toml')
  const toolchain = (name) => /RUSTUP_TOOLCHAIN: '(.*)'/.exec(workflows.get(name))[1]
  assert.equal(toolchain('release.yml'), /^rust = "(.*)"$/m.exec(manifest)[1])
  assert.equal(toolchain('nightly.yml'), `${/^rust-version = "(.*)"$/m.exec(manifest)[1]}.0`)
})

test('each lockfile is updated', async () => {
  const folders = (await read('.github/dependabot.yml'))
    .match(/^ {6}- \/.*$/gm)
    .map((line) => line.trim().slice(2))
  const locked = tracked('*package-lock.json').map((path) => `/${dirname(path)}`.replace('/.', '/'))
  assert.ok(locked.length > 20)
  assert.deepEqual(
    locked.filter((path) => !folders.some((pattern) => matchesGlob(path, pattern))),
    [],
  )
})
