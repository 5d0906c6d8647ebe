// Checks that dependencies are locked with their digests, in the versions that the manifests request.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const json = async (path) => JSON.parse(await read(path))

/** Returns the packages of a Cargo.lock. */
const crates = (lock) =>
  lock
    .split('[[package]]')
    .slice(1)
    .map((entry) => Object.fromEntries([...entry.matchAll(/^(\w+) = "(.*)"$/gm)].map(([, k, v]) => [k, v])))

/** Matches the crates of this workspace, which have neither a source nor a digest. */
const OURS = /^(xtask|strongroom-[\w-]+)$/

/**
 * Returns true for a crate of this workspace that has a source, and for any other crate that is not from crates.io or
 * has no digest.
 */
const unlocked = ({ name, source, checksum }) => {
  if (OURS.test(name)) return source !== undefined
  return (
    source !== 'registry+https://github.com/rust-lang/crates.io-index' || !/^[0-9a-f]{64}$/.test(checksum)
  )
}

// claim: package-2
test('every crate is from crates.io, with its digest', async () => {
  const all = crates(await read('Cargo.lock'))
  assert.ok(all.length > 50)
  assert.deepEqual(all.filter(unlocked), [])
})

test('a control: a crate from elsewhere, or without a digest, is noticed', () => {
  const source = 'source = "registry+https://github.com/rust-lang/crates.io-index"'
  const checksum = `checksum = "${'0'.repeat(64)}"`
  const found = (...lines) =>
    crates(['[[package]]', 'name = "x"', ...lines].join('\n')).filter(unlocked).length
  assert.equal(found(source, checksum), 0)
  assert.equal(found(source), 1)
  assert.equal(found('source = "git+https://evil.test/x"', checksum), 1)
  assert.equal(found(checksum), 1)
})

/**
 * Returns true if an entry of package-lock.json lacks a SHA-512 digest or names a source other than npm's registry. For
 * the entry of the project itself, which is the empty path, returns false. The same is true of a bundled package, which
 * is in the archive of the package around it.
 */
const unpinned = ([path, { integrity, resolved, inBundle }]) =>
  path !== '' &&
  !(inBundle && path.lastIndexOf('/node_modules/') > 0) &&
  (!/^sha512-[\w+/]{86}==$/.test(integrity ?? '') ||
    (resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')))

/** Resolves with the subfolders that have a lockfile. */
async function lockedFolders(folder) {
  const paths = await readdir(new URL(folder, root), { recursive: true })
  const locks = paths.filter((path) => /^[\w-]+.package-lock\.json$/.test(path))
  return locks.map((path) => `${folder}${dirname(path)}/`)
}

/** Examples are built with the packed strongroom, so their lockfiles do not contain it. */
const EXAMPLES = ['react-vite', 'vue-vite', 'sveltekit', 'angular', 'next'].map((name) => `examples/${name}/`)

/** Folders whose package.json has dependencies that are installed. */
const FOLDERS = [
  '',
  ...EXAMPLES,
  'tests/edge/frameworks/',
  'tests/edge/node24/',
  'tests/edge/workers/',
  'tests/mcp/',
  ...(await lockedFolders('tests/packaging/apps/')),
  ...(await lockedFolders('tests/recipes/')),
  ...(await lockedFolders('tests/servers/')),
  'www/docs/',
]

for (const folder of FOLDERS) {
  // claim: package-2
  test(`every npm package of ./${folder} is from the registry, with its digest`, async () => {
    const { packages, lockfileVersion } = await json(`${folder}package-lock.json`)
    assert.equal(lockfileVersion, 3)
    assert.ok(Object.keys(packages).length > 1)
    assert.deepEqual(Object.entries(packages).filter(unpinned), [])
  })
}

test('a control: a package from elsewhere, or without a digest, is noticed', () => {
  const integrity = `sha512-${'A'.repeat(86)}==`
  assert.ok(!unpinned(['node_modules/x', { integrity }]))
  assert.ok(unpinned(['node_modules/x', {}]))
  assert.ok(!unpinned(['node_modules/x/node_modules/y', { inBundle: true }]))
  assert.ok(unpinned(['node_modules/x', { inBundle: true }]))
  assert.ok(unpinned(['node_modules/x', { integrity: `sha1-${'A'.repeat(27)}=` }]))
  assert.ok(unpinned(['node_modules/x', { integrity, resolved: 'https://evil.test/x.tgz' }]))
})

for (const folder of FOLDERS) {
  test(`./${folder}package-lock.json matches its package.json, which has exact versions`, async () => {
    const { devDependencies, optionalDependencies, dependencies } = await json(`${folder}package.json`)
    const { packages } = await json(`${folder}package-lock.json`)
    delete dependencies?.strongroom
    if (!EXAMPLES.includes(folder)) assert.equal(dependencies, undefined)
    assert.deepEqual({ ...packages[''].dependencies }, { ...dependencies })
    assert.deepEqual(packages[''].devDependencies, devDependencies)
    assert.deepEqual(packages[''].optionalDependencies, optionalDependencies)
    const all = { ...dependencies, ...devDependencies, ...optionalDependencies }
    for (const [name, named] of Object.entries(all)) {
      // An alias names another package: `npm:react-router@7.18.6`.
      const version = named.replace(/^npm:[\w/-]+@/, '')
      assert.match(version, /^\d+\.\d+\.\d+(-alpha\.\d+)?$/, name)
      assert.equal(packages[`node_modules/${name}`].version, version)
    }
  })
}

// claim: package-3
test('installing the tools runs none of their scripts', async () => {
  const install = await read('xtask/src/install.rs')
  const packaging = await read('tests/packaging/tarball.mjs')
  const frameworks = await read('tests/support/edge/frameworks.mjs')
  const matrix = await read('tests/packaging/matrix.mjs')
  const examples = await read('examples/build.mjs')
  const recipes = await read('tests/recipes/project.mjs')
  const servers = await read('tests/servers/install.mjs')
  const shared = await read('tests/support/install.mjs')
  const lines = `${install}${packaging}${frameworks}${matrix}${examples}${recipes}${servers}${shared}`.split(
    '\n',
  )
  const calls = lines.filter((line) => /\[["']ci["']|npm\(\w+, '(install|ci)'/.test(line))
  assert.equal(calls.length, 10)
  for (const call of calls) assert.match(call, /--ignore-scripts/)
})

// Bun's script moves its program to another folder, where the tests do not look for it.
test('a contributor who types `npm ci` runs no script either', async () => {
  const { stdout } = await promisify(execFile)('npm', ['config', 'get', 'ignore-scripts'], { cwd: root })
  assert.equal(stdout.trim(), 'true')
})
