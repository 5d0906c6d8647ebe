// The packed package is installed in small projects, which common tools build. In a real browser, the page must get a
// response from the vault.
import assert from 'node:assert/strict'
import { build } from 'esbuild'
import { cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { build as viteBuild, createServer } from 'vite'
import { launchBrowser } from '../support/browser.mjs'
import { startSite } from '../support/site.mjs'
import { result } from './result.mjs'
import { install, pack } from './tarball.mjs'

let browser, tarball

before(async () => {
  tarball = (await pack()).path
  browser = await launchBrowser()
})
after(() => browser?.close())

/** Functions that build a project into a folder for a server, each as the tool's own manual describes. */
const BUNDLERS = {
  async vite(project) {
    await viteBuild({
      root: project,
      logLevel: 'warn',
      build: { target: 'es2022' },
    })
    return `${project}/dist`
  },

  // esbuild does not bundle workers and wasm that are referenced by URL. The worker is therefore an entry of its own,
  // and the wasm is copied.
  async esbuild(project) {
    const outdir = `${project}/dist`
    await build({
      absWorkingDir: project,
      entryPoints: ['page.ts', 'auth.worker.ts'],
      outdir,
      bundle: true,
      format: 'esm',
      target: 'es2022',
      logLevel: 'warning',
    })
    const { resolve } = createRequire(`${project}/page.ts`)
    await cp(resolve('strongroom/strongroom_bg.wasm'), `${outdir}/strongroom_bg.wasm`)
    await cp(`${project}/index.html`, `${outdir}/index.html`)
    return outdir
  },

  async static(project) {
    await cp(`${project}/node_modules/strongroom/dist`, `${project}/strongroom`, { recursive: true })
    return project
  },
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  describe(name, () => {
    let site

    before(async () => {
      const folder = await bundle(await install(name, tarball))
      site = await serve(folder)
    })
    after(() => site?.close())

    for (const kind of ['shared', 'dedicated']) {
      test(`a page connects to its vault in a ${kind} worker`, async () => {
        assert.deepEqual(await result(browser, `${site.origin}/?${kind}`), { session: null })
        const requests = wasmRequests(site)
        assert.ok(requests.length > 0)
        for (const { path, status } of requests) {
          assert.match(path, /strongroom_bg/)
          assert.equal(status, 200)
        }
      })
    }

    test('a vault with inspect: true gets the inspector', async () => {
      const loaded = wasmRequests(site).length
      assert.deepEqual(await result(browser, `${site.origin}/?inspected`), { holdings: [] })
      const requests = wasmRequests(site).slice(loaded)
      assert.equal(requests.length, 1)
      assert.match(requests[0].path, /strongroom_bg/)
    })

    test('a missing wasm file is reported with advice', async () => {
      const restore = site.override(wasmRequests(site)[0].path, { status: 404, body: 'Not found.' })
      const { code, message } = await result(browser, `${site.origin}/?shared`).finally(restore)
      assert.equal(code, 'wasm_failed')
      assert.match(message, /with 404\. Serve strongroom_bg\.wasm beside the worker/)
    })
  })
}

test('strongroom/wasm-url is the address that the worker requests, and is requested once', async () => {
  const site = await serve(await BUNDLERS.vite(await install('vite', tarball)))
  try {
    await result(browser, `${site.origin}/?shared`)
    const [{ path }] = wasmRequests(site)
    site.headers[path] = { 'Cache-Control': 'public, max-age=31536000, immutable' }
    site.requests.length = 0
    assert.deepEqual(await result(browser, `${site.origin}/?hinted`), { session: null })
    assert.deepEqual(
      wasmRequests(site).map((request) => request.path),
      [path],
    )
  } finally {
    await site.close()
  }
})

test("vite's development server, without and with what it has cached", async () => {
  const project = await install('vite', tarball)
  for (const start of ['first', 'second']) {
    assert.deepEqual(await inDevelopment(project), { session: null }, `${start} start`)
    assert.deepEqual(await inDevelopment(project, undefined, '?hinted'), { session: null }, `${start} start`)
  }
})

test("vite's development server with the package outside of server.fs.allow", async () => {
  const project = await install('vite', tarball)
  const root = `${project}/app`
  await mkdir(root)
  for (const name of ['index.html', 'page.ts', 'auth.worker.ts'])
    await rename(`${project}/${name}`, `${root}/${name}`)
  await writeFile(`${root}/package.json`, '{}')
  const { code, message } = await inDevelopment(root)
  assert.equal(code, 'wasm_failed')
  assert.match(message, /strongroom_bg\.wasm with 403\. .*server\.fs\.allow/)
  assert.deepEqual(await inDevelopment(root, { allow: [project] }), { session: null })
})

async function inDevelopment(root, fs, query = '?shared') {
  const server = await createServer({
    root,
    logLevel: 'warn',
    server: { port: 0, host: '127.0.0.1', fs },
  })
  try {
    await server.listen()
    const [origin] = server.resolvedUrls.local
    return await result(browser, `${origin}${query}`)
  } finally {
    await server.close()
  }
}

/** Serves a folder with the policies that the documentation recommends. */
async function serve(folder) {
  const scripts = (await readdir(folder, { recursive: true })).filter((path) => path.endsWith('.js'))
  const workers = scripts.filter((path) => path.includes('auth.worker')).map((path) => `/${path}`)
  assert.equal(workers.length, 1, `one worker file, not ${workers}`)
  const site = await startSite({ roots: [folder], workers })
  // Browsers apply the page's `worker-src` also to the modules that a worker imports.
  const modules = scripts.filter((path) => path.endsWith('/worker.js')).map((path) => `/${path}`)
  const allowed = [...workers, ...modules].map((path) => site.origin + path).join(' ')
  site.pageCsp = `default-src 'none'; script-src 'self'; worker-src ${allowed}; connect-src 'self'`
  return site
}

function wasmRequests(site) {
  return site.requests.filter(({ path }) => path.endsWith('.wasm'))
}
