// The packed tarball as a registry and its users see it: metadata, entry points, types and source maps.
import assert from 'node:assert/strict'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { SourceMap } from 'node:module'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { npm, pack } from '../packaging/tarball.mjs'

const root = new URL('../../', import.meta.url)
const folder = fileURLToPath(new URL('target/published/', root))
const read = (path) => readFile(new URL(`pkg/${path}`, root), 'utf8')

let files, tarball

before(async () => {
  await rm(folder, { recursive: true, force: true })
  const packed = await pack(folder)
  files = packed.files
  tarball = new Uint8Array(await readFile(packed.path))
})
after(() => rm(folder, { recursive: true }))

/** Returns the problems that publint finds in a tarball. */
const lint = async ({ buffer }) => (await publint({ pack: { tarball: buffer }, strict: true })).messages

/**
 * Returns the problems with types that attw finds in a tarball. Two kinds are expected: TypeScript's former resolution
 * "node10" knows no entry points, and CommonJS gets modules, which Node loads by `require` since version 20.19.
 */
const typeProblems = async (data) => {
  const options = { excludeEntrypoints: [/\.wasm$/] }
  const { entrypoints, problems } = await checkPackage(createPackageFromTarballData(data), options)
  const isExpected = ({ kind, resolutionKind }) => resolutionKind === 'node10' || kind === 'CJSResolvesToESM'
  return {
    entrypoints: Object.keys(entrypoints ?? {}),
    problems: problems?.filter((one) => !isExpected(one)),
  }
}

test('publint finds nothing', async () => {
  assert.deepEqual(await lint(tarball), [])
})

test('the types match the modules of every entry point', async () => {
  const { entrypoints, problems } = await typeProblems(tarball)
  const { exports } = JSON.parse(await read('package.json'))
  assert.deepEqual(
    entrypoints,
    Object.keys(exports).filter((name) => !name.endsWith('.wasm')),
  )
  assert.deepEqual(problems, [])
})

test('a control: both notice types for another module system', async () => {
  const broken = `${folder}broken`
  await mkdir(broken)
  const exports = { '.': { default: './index.js', types: './index.d.cts' } }
  const manifest = { name: 'broken', version: '1.0.0', type: 'module', exports }
  const content = {
    'package.json': JSON.stringify(manifest),
    'index.js': 'export {}',
    'index.d.cts': 'export {}',
  }
  for (const [name, text] of Object.entries(content)) await writeFile(`${broken}/${name}`, text)
  await npm(broken, 'pack')
  const data = new Uint8Array(await readFile(`${broken}/broken-1.0.0.tgz`))
  const codes = (await lint(data)).map(({ code }) => code)
  assert.ok(codes.includes('EXPORTS_TYPES_SHOULD_BE_FIRST'), codes.join())
  const { problems } = await typeProblems(data)
  assert.ok(problems.length > 0)
})

test('the manifest names its repository', async () => {
  const { repository, bugs, homepage } = JSON.parse(await read('package.json'))
  assert.match(repository.url, /^git\+https:\/\/github\.com\/[\w-]+\/strongroom\.git$/)
  assert.equal(repository.directory, 'pkg')
  const address = repository.url.slice('git+'.length, -'.git'.length)
  assert.deepEqual([bugs, homepage], [`${address}/issues`, `${address}#readme`])
})

test('the manifest names the version of Node with which all checks run', async () => {
  const { engines } = JSON.parse(await read('package.json'))
  const action = await readFile(new URL('.github/actions/node/action.yml', root), 'utf8')
  const [, version] = /default: '([\d.]+)'/.exec(action)
  assert.deepEqual(engines, { node: `>=${version}` })
  const checks = await readFile(new URL('.github/workflows/checks.yml', root), 'utf8')
  assert.doesNotMatch(checks, /^ +(node-)?version:/m)
})

/** Matches the scripts of servers, tools and extensions, whose maps name their sources and do not contain them. */
const WITHOUT_SOURCES = /^dist\/(edge|headers|doctor|inspector|testing|extension)\b/

test('the unpacked package has at most 6.1 MB', async () => {
  const sizes = await Promise.all(files.map(async (path) => (await stat(new URL(`pkg/${path}`, root))).size))
  const sum = sizes.reduce((a, b) => a + b)
  assert.ok(sum > 3_000_000 && sum <= 6_100_000, `${sum} bytes`)
})

test('every script has a source map, and those of apps contain the sources', async () => {
  // This file is only the token handler's module in base64.
  const scripts = files.filter((path) => path.endsWith('.js') && path !== 'dist/edge-module.js')
  assert.ok(scripts.length > 20)
  for (const path of scripts) {
    assert.ok(files.includes(`${path}.map`), `${path}.map`)
    const name = path.split('/').at(-1)
    assert.ok((await read(path)).endsWith(`\n//# sourceMappingURL=${name}.map`), path)
    const { sources, sourcesContent } = JSON.parse(await read(`${path}.map`))
    assert.ok(sources.length > 0, path)
    assert.equal(sourcesContent?.length, WITHOUT_SOURCES.test(path) ? undefined : sources.length, path)
    for (const [i, source] of sources.entries()) {
      assert.match(source, /^(\.\.\/)+(src|glue)\/[\w./-]+$/, path)
      // The glue is generated, so it is compared only if it exists.
      const original = new URL(source, new URL(`pkg/${path}`, root))
      if (sourcesContent) assert.equal(sourcesContent[i], await readFile(original, 'utf8'), source)
    }
  }
})

/** A string of each file, which a source map must lead to. */
const MAPPED = {
  'dist/error-messages.js': 'the page was left meanwhile',
  'dist/react.js': 'strongroom/react needs',
  'dist/edge/node.js': 'The client disconnected',
  'dist/standalone.js': 'strongroom.json',
}

for (const [path, text] of Object.entries(MAPPED)) {
  test(`the source map of ${path} leads to the source`, async () => {
    const script = await read(path)
    const map = JSON.parse(await read(`${path}.map`))
    const before = script.slice(0, script.lastIndexOf(text)).split('\n')
    const entry = new SourceMap(map).findEntry(before.length - 1, before.at(-1).length)
    const original = new URL(entry.originalSource, new URL(`pkg/${path}`, root))
    const source = await readFile(original, 'utf8')
    assert.ok(source.split('\n')[entry.originalLine].includes(text), JSON.stringify(entry))
  })
}
