// Tests of the headers in docs/headers.md, which are served exactly as the document lists them.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { after, before, test } from 'node:test'
import { build } from 'esbuild'
import { call, signIn, startApp } from '../support/app.mjs'
import { startElsewhere } from '../support/elsewhere.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 30_000 }
const at = (path) => new URL(`../../${path}`, import.meta.url)

let app
let guide
let elsewhere

before(async () => {
  elsewhere = await startElsewhere()
  guide = await readFile(at('docs/headers.md'), 'utf8')
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  const { site } = app
  site.files['/auth.worker.js'] = await bundled()
  site.files['/strongroom_bg.wasm'] = site.files['/strongroom/strongroom_bg.wasm']
  site.files['/tools.js'] = site.files['/tools.js'].replace(
    "shared: () => new SharedWorker('/auth.worker.js', { type: 'module'",
    `shared: () => new SharedWorker(workerUrl(), { type: 'module'`,
  )
  site.files['/tools.js'] += `\n${workerUrl()}\nObject.assign(globalThis, { workerUrl })`
})
after(() => Promise.all([app?.close(), elsewhere?.close()]))

/**
 * Resolves with a worker file that a bundler has built. The worker reports the result of `eval`, and its `apis` allows
 * one server that the policy does not allow.
 */
async function bundled() {
  const config = { ...app.config, apis: [...app.config.apis, { url: `${elsewhere.origin}/` }] }
  const contents = `import { vault } from './worker.js'
vault(${JSON.stringify(config)})
const channel = new BroadcastChannel('csp')
channel.onmessage = () => {
  try { channel.postMessage((0, eval)('"it ran"')) } catch (error) { channel.postMessage(error.name) }
}`
  const stdin = { contents, resolveDir: fileURLToPath(at('pkg/dist')) }
  const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', write: false })
  return outputFiles[0].text
}

/** Returns the guide's code that creates the worker's URL, as the function `workerUrl()`. */
function workerUrl() {
  const code = /```js\n(const file = [\s\S]*?)const worker = new SharedWorker\((.*?), \{/.exec(guide)
  assert.ok(code, 'the guide has the code that creates the URL')
  return `${code[1]}\nfunction workerUrl() { return ${code[2]} }`
}

/** Returns the headers in a code block of the guide. The test's origins replace the guide's. */
function headers(block) {
  const lines = new RegExp(`\`\`\`http ${block}\\n([\\s\\S]*?)\`\`\``).exec(guide)?.[1]
  assert.ok(lines, `the guide has headers of: ${block}`)
  const names = {
    'https://app.example.com': app.site.origin,
    'https://id.example.com': new URL(app.provider.issuer).origin,
    'https://api.example.com': app.api.origin,
  }
  const here = lines.trim().replace(/https:\/\/\w+\.example\.com/g, (origin) => names[origin])
  return Object.fromEntries(here.split('\n').map((line) => line.split(/: (.*)/).slice(0, 2)))
}

/** Opens the app with these headers, and signs in. */
async function openServed(page = {}, worker = {}) {
  const served = { ...headers('page'), ...page }
  const restore = [
    app.site.override('/index.html', { headers: served }),
    app.site.override('/auth.worker.js', { headers: { ...headers('worker'), ...worker } }),
  ]
  const opened = await app.open()
  await opened.evaluate(() => {
    globalThis.violations = []
    addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective))
  })
  const close = async () => {
    await opened.context().close()
    for (const undo of restore) undo()
  }
  return { page: opened, close }
}

test('login, calls and logout under the headers of the guide', time, async () => {
  const { page, close } = await openServed()
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
  await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.session), null)
  await close()
})

// claim: script-27
test('strings never become code, and other files never workers', time, async () => {
  const { page, close } = await openServed()
  await signIn(page)
  const names = await page.evaluate(async () => {
    // Code that the test evaluates may use `eval`, because it runs like a debugger's code. Code in a later task of the
    // page may not.
    await new Promise((later) => setTimeout(later))
    const outcome = (action) => {
      try {
        return String(action())
      } catch (error) {
        return error.name
      }
    }
    return {
      html: outcome(() => (document.body.innerHTML = '<img src=x onerror=alert(1)>')),
      code: outcome(() => (0, eval)('1')),
      wasm: outcome(() => new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))),
      worker: outcome(() => new SharedWorker('/page.js')),
      another: outcome(() => trustedTypes.createPolicy('other', {})),
    }
  })
  assert.deepEqual(names, {
    html: 'TypeError',
    code: 'EvalError',
    wasm: 'CompileError',
    worker: 'TypeError',
    another: 'TypeError',
  })
  await close()
})

// claim: script-27
test('the worker runs WebAssembly and no strings', time, async () => {
  const { page, close } = await openServed()
  await signIn(page)
  const answer = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const channel = new BroadcastChannel('csp')
        channel.onmessage = ({ data }) => resolve(data)
        channel.postMessage('')
      }),
  )
  assert.equal(answer, 'EvalError')
  await close()
})

// claim: script-26
test('the worker’s connect-src blocks a rule that is too broad', time, async () => {
  elsewhere.paths.length = 0
  const { page, close } = await openServed()
  await signIn(page)
  const { error } = await call(page, `${elsewhere.origin}/me`)
  assert.ok(error?.isTypeError, JSON.stringify(error))
  assert.deepEqual(elsewhere.paths, [])
  await close()
})

test('a control: without the worker’s header that rule sends the token', time, async () => {
  elsewhere.paths.length = 0
  const { page, close } = await openServed(
    {},
    { 'Content-Security-Policy': null, 'Connection-Allowlist': null },
  )
  await signIn(page)
  assert.equal((await call(page, `${elsewhere.origin}/me`)).value?.status, 200)
  assert.deepEqual([...new Set(elsewhere.paths)], ['/me'])
  await close()
})

test('a cross-origin isolated page signs in and calls', time, async () => {
  const isolated = headers('isolated')
  const { page, close } = await openServed(isolated, {
    'Cross-Origin-Embedder-Policy': isolated['Cross-Origin-Embedder-Policy'],
  })
  await signIn(page)
  assert.equal(await page.evaluate(() => crossOriginIsolated), true)
  assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
  await close()
})

/**
 * Resolves with the console warnings of a worker that has requested its own file to see its policy. Waits for the first one
 * if `isExpected` is true.
 */
async function warnings(worker, isExpected = true) {
  const { page, close } = await openServed({}, worker)
  const requests = () => app.site.requests.filter(({ path }) => path === '/auth.worker.js').length
  const before = requests()
  const said = []
  page.context().on('console', (message) => said.push([message.type(), message.text()].join(': ')))
  const first = isExpected && page.context().waitForEvent('console', (message) => isOurs(message.text()))
  // Playwright sees the console of a dedicated worker through its page.
  await page.evaluate(async () => {
    const auth = await connect(new Worker(workerUrl(), { type: 'module' }))
    auth.close()
  })
  await first
  await until(() => requests() >= before + 2)
  await call(page, `${app.site.origin}/none`)
  await close()
  return said.filter(isOurs)
}

const isOurs = (text) => /strongroom|Content.Security.Policy/i.test(text)

const WARNING = ['warning: strongroom: no connect-src limits this worker: see docs/headers.md']

test('a worker without a policy warns once', time, async () => {
  assert.deepEqual(await warnings({ 'Content-Security-Policy': null }), WARNING)
})

test('a worker whose policy does not limit connections warns', time, async () => {
  const policy = "script-src 'self' 'wasm-unsafe-eval'"
  assert.deepEqual(await warnings({ 'Content-Security-Policy': policy }), WARNING)
})

test('a worker with the policy of the guide does not warn', time, async () => {
  assert.deepEqual(await warnings({}, false), [])
})
