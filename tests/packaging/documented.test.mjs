// Bundlers find a worker by the literal expression that creates it. Vite and webpack must build every documented
// snippet with such an expression, and the snippet's worker must start a vault in a browser.
import assert from 'node:assert/strict'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import { build as viteBuild } from 'vite'
import webpack from 'webpack'
import { launchBrowser } from '../support/browser.mjs'
import { ALL, rows } from '../support/combinations.mjs'
import { startSite } from '../support/site.mjs'
import { install, pack, root } from './tarball.mjs'

const time = { timeout: 120_000 }

/** The clientId in fixtures/documented/auth.worker.ts. */
const MARK = 'client-of-the-documented-worker'

const BUNDLERS = {
  async vite(folder) {
    await viteBuild({
      root: folder,
      logLevel: 'error',
      build: { target: 'es2022', outDir: 'built' },
    })
  },

  async webpack(folder) {
    const stats = await promisify(webpack)({
      mode: 'production',
      // The minifier takes most of the time, and finds no workers. tests/packaging/matrix.test.mjs runs a minified app.
      optimization: { minimize: ALL },
      context: folder,
      entry: './page.ts',
      resolve: { extensions: ['.ts', '.js'] },
      output: { path: `${folder}/built`, filename: 'page.js', publicPath: '/' },
      module: {
        rules: [{ test: /\.ts$/, use: fileURLToPath(new URL('typescript_loader.mjs', import.meta.url)) }],
      },
    })
    assert.deepEqual(stats.toJson({ all: false, errors: true }).errors, [])
    await writeFile(`${folder}/built/index.html`, html('/page.js', ''))
  },
}

const html = (script, type) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>A documented snippet</title>
    <script ${type} src="${script}" defer></script>
  </head>
  <body></body>
</html>
`

let browser, project

before(async () => {
  const tarball = await pack()
  project = await install('documented', tarball.path)
  browser = await launchBrowser()
})
after(() => browser?.close())

/** The part of an error message of the package that shows how to create a worker. */
const ADVICE = /write new SharedWorker\(new URL\(\\?'\.\/auth\.worker\.ts/

/**
 * Resolves with the snippets that create a worker in a page, with their locations. Snippets of browser extensions, whose
 * worker has no page, run in tests/browser/extension_guide.all.test.mjs. Snippets for Node are left out.
 */
async function snippets() {
  const documents = ['README.md', ...(await readdir(`${root}docs`)).map((name) => `docs/${name}`)]
  const found = []
  for (const document of documents.filter((name) => name.endsWith('.md'))) {
    const text = await readFile(`${root}${document}`, 'utf8')
    for (const { 1: code, index } of text.matchAll(/```[jt]sx?\n(.*?)```/gs)) {
      const line = text.slice(0, index).split('\n').length
      const inPage = !/'strongroom\/extension'|from 'node:/.test(code)
      if (inPage && code.includes('import.meta.url')) found.push({ name: `${document}:${line}`, code })
    }
  }
  return found
}

/** Builds a page with this code. Returns the folder and the paths of its built workers. */
async function build(bundler, name, code) {
  const folder = `${project}/${bundler}-${name.replace(/\W/g, '-')}`
  await mkdir(folder, { recursive: true })
  for (const file of ['auth.worker.ts', 'router.ts']) await cp(`${project}/${file}`, `${folder}/${file}`)
  const before = /^import /m.test(code) ? '' : `import { connect, createAuth } from 'strongroom'\n`
  // A module that only creates `auth`, or the worker's functions, connects nothing before its first use.
  const after = /^export const auth/m.test(code)
    ? '\nauth.connect()\n'
    : /^export const shared/m.test(code)
      ? '\nconnect(shared)\n'
      : /^export const accounts/m.test(code)
        ? '\naccounts[0].connect()\n'
        : ''
  await writeFile(`${folder}/page.ts`, before + code + after)
  await writeFile(`${folder}/index.html`, html('/page.ts', 'type="module"'))
  await BUNDLERS[bundler](folder)
  const built = `${folder}/built`
  const workers = []
  for (const path of await readdir(built, { recursive: true })) {
    if (!path.endsWith('.js')) continue
    // Comments of webpack name the sources.
    const { code: script } = await transform(await readFile(`${built}/${path}`, 'utf8'), { minify: true })
    assert.doesNotMatch(script.replace(ADVICE, ''), /auth\.worker\.ts/, `${path} names the source`)
    if (script.includes(MARK)) workers.push(`/${path}`)
  }
  return { built, workers }
}

/**
 * Opens a built page. Resolves with the status of the response to the worker's request for its wasm module. Rejects if
 * `signal` aborts before, because an open site would keep the whole run from ending.
 */
async function moduleStatus(built, workers, signal) {
  const site = await startSite({ roots: [built], workers })
  const context = await browser.newContext()
  try {
    site.pageCsp = "default-src 'none'; script-src 'self'; worker-src 'self'"
    // The requests of a worker are visible only to the site.
    const asked = new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('the worker did not request its module')))
      site.requests.push = (entry) => {
        if (entry.path.endsWith('.wasm')) resolve(entry.status)
        return Array.prototype.push.call(site.requests, entry)
      }
    })
    const page = await context.newPage()
    await page.goto(site.origin)
    return await asked
  } finally {
    await context.close()
    await site.close()
  }
}

for (const { name, code } of await snippets()) {
  for (const bundler of rows(Object.keys(BUNDLERS))) {
    test(`${name} is built by ${bundler}, worker and all`, time, async ({ signal }) => {
      const { built, workers } = await build(bundler, name, code)
      assert.ok(workers.length > 0, 'there is no worker in the build')
      // Two kinds of snippets are built but not run: a vault frame, which starts its vault only when an app embeds it,
      // and `import.meta.env` outside Vite.
      const runs = !code.includes('vaultFrame(') && (bundler === 'vite' || !code.includes('import.meta.env'))
      if (runs) assert.equal(await moduleStatus(built, workers, signal), 200)
    })
  }
}

for (const bundler of Object.keys(BUNDLERS)) {
  test(`a control: ${bundler} finds no worker whose URL has a name`, time, async () => {
    const code = `const url = new URL('./auth.worker.ts', import.meta.url)
const Kind = window.SharedWorker ?? Worker
await connect(() => new Kind(url, { type: 'module' }))`
    const { workers } = await build(bundler, 'control', code).catch((error) => ({ workers: error.message }))
    assert.match(String(workers), /^$|auth\.worker\.ts|names the source/)
  })
}

test('the snippets are found', async () => {
  const names = (await snippets()).map(({ name }) => name.split(':')[0])
  for (const document of [
    'README.md',
    'docs/browsers.md',
    'docs/session-storage.md',
    'docs/sessions.md',
    'docs/vault-origin.md',
  ]) {
    assert.ok(names.includes(document), document)
  }
})
