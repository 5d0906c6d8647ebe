// The standalone worker: an app without a bundler, whose worker reads its configuration from a JSON file.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { call, htmlWith, signIn, startApp, waitUntil } from '../support/app.mjs'
import { startElsewhere } from '../support/elsewhere.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }

const WORKER = '/strongroom/standalone.js'
const CONFIG = '/strongroom/strongroom.json'

const undo = []
let app
/** A page in which many tests start their workers one after the other. */
let blank
/** A server of another origin, which would let this origin read its configuration. */
let elsewhere

before(async () => {
  app = await startApp()
  elsewhere = await startElsewhere(() => app.config)
  const { site } = app
  site.workers.push(WORKER)
  site.files[CONFIG] = JSON.stringify(app.config)
  // An import map gives the page's scripts the package's name.
  const map = `<script type="importmap">{ "imports": { "strongroom": "/strongroom/index.js" } }</script>`
  site.files['/index.html'] = htmlWith('/page.js').replace('<script', `${map}<script`)
  site.headers['/index.html'] = { 'Content-Security-Policy': null }
  const tools = site.files['/tools.js']
  site.files['/tools.js'] = tools
    .replaceAll('/auth.worker.js', WORKER)
    .replace('/strongroom/index.js', 'strongroom')
  site.files['/empty.html'] = site.files['/index.html'].replace('/page.js', '/tools.js')
  site.headers['/empty.html'] = { 'Content-Security-Policy': null }
  blank = await app.open('/empty')
})
after(() => Promise.all([app?.close(), elsewhere?.close()]))
afterEach(() => {
  while (undo.length) undo.pop()()
})

/** Changes the response for the configuration until the test ends. */
const serve = (change, path = CONFIG) => undo.push(app.site.override(path, change))

/** Resolves with the error or the version of `connect()` to a dedicated worker. */
const outcome = (url = WORKER, options = {}) =>
  blank.evaluate(
    async ([address, given]) => {
      const worker = new Worker(address, { type: 'module', ...given })
      const { value, error } = await settle(connect(worker, { timeout: 20 }))
      value?.close()
      worker.terminate()
      return error ?? 'connected'
    },
    [url, options],
  )

/** Resolves with the paths of the JSON files that the site was asked for during an action. */
async function requested(action) {
  const from = app.site.requests.length
  await action()
  return app.site.requests
    .slice(from)
    .flatMap(({ path, query }) => (/json$/.test(path) ? [path + query] : []))
}

test('signs in and calls without a bundler', time, async () => {
  const page = await app.open()
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
  await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.session), null)
  await page.context().close()
})

test('keeps the length of an echo from the page', time, async () => {
  app.api.on('echo', ({ request, response, entry }) => {
    const body = Buffer.from(entry.authorization)
    response.writeHead(200, { 'Content-Length': body.length })
    response.end(request.method === 'HEAD' ? undefined : body)
  })
  const page = await app.open()
  await signIn(page)
  const url = `${app.api.url}on/echo`
  const told = await page.evaluate(
    async (address) => (await auth.fetch(address, { method: 'HEAD' })).headers.get('content-length'),
    url,
  )
  assert.equal(told, null)
  assert.equal((await call(page, url)).error?.code, 'token_reflected')
  await page.context().close()
})

test('loads one module', time, async () => {
  serve({ body: JSON.stringify({ ...app.config, inspect: true }) })
  const from = app.site.requests.length
  assert.equal(await outcome(), 'connected')
  const modules = app.site.requests.slice(from).filter(({ path }) => path.endsWith('.wasm'))
  assert.deepEqual(
    modules.map(({ path }) => path),
    ['/strongroom/strongroom_bg.wasm'],
  )
})

test('requests the module without waiting for the configuration', time, async () => {
  serve({ status: 404 })
  const from = app.site.requests.length
  assert.equal((await outcome()).code, 'config_unavailable')
  await until(() => app.site.requests.slice(from).some(({ path }) => path.endsWith('.wasm')))
})

const UNAVAILABLE = {
  'is missing': [() => ({ status: 404 }), /responds to .*strongroom\.json with 404\. Serve strongroom\.json/],
  'is forbidden': [() => ({ status: 403 }), /with 403/],
  'is replaced by the app’s page': [
    () => ({ headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: '<!doctype html>' }),
    /served as 'text\/html; charset=utf-8' instead of 'application\/json'/,
  ],
  'is served as JavaScript': [() => ({ headers: { 'Content-Type': 'text/javascript' } }), /text\/javascript/],
  'has no type': [() => ({ headers: { 'Content-Type': null } }), /served as ''/],
  'is too large': [
    () => ({ body: JSON.stringify(app.config) + ' '.repeat(65_536) }),
    /larger than 65536 bytes/,
  ],
  'is redirected within the origin': [
    () => ({ status: 302, headers: { Location: '/other.json' } }),
    /the server redirects .*strongroom\.json/,
  ],
  'is redirected to another origin': [
    () => ({ status: 302, headers: { Location: `${elsewhere.origin}/config.json` } }),
    /the server redirects .*strongroom\.json/,
  ],
}

for (const [name, [change, message]] of Object.entries(UNAVAILABLE)) {
  // claim: script-6
  test(`config_unavailable: the file ${name}`, time, async () => {
    elsewhere.paths.length = 0
    serve(change())
    serve(
      { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(app.config) },
      '/other.json',
    )
    let error
    const paths = await requested(async () => (error = await outcome()))
    assert.equal(error.code, 'config_unavailable', JSON.stringify(error))
    assert.match(error.message, message)
    assert.ok(error.isStrongroomError)
    assert.deepEqual(paths, [CONFIG])
    assert.deepEqual(elsewhere.paths, [])
  })
}

test('config_unavailable: the worker’s policy blocks the file', time, async () => {
  const policy =
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src https://id.example.com"
  serve({ headers: { 'Content-Security-Policy': policy } }, WORKER)
  const error = await outcome()
  assert.equal(error.code, 'config_unavailable')
  assert.match(error.message, /could not be fetched.*connect-src must allow 'self'/)
})

const INVALID = {
  'is empty': ['', /strongroom\.json is not valid JSON/],
  'has a comment': ['{ // comment\n}', /strongroom\.json is not valid JSON/],
  'is cut off': ['{ "issuer": "https://id.example.com"', /strongroom\.json is not valid JSON/],
  'is not UTF-8': [Buffer.from([0x7b, 0xff, 0x7d]), /strongroom\.json is not UTF-8/],
  'is an array': ['[]', /object/],
  'has a misspelled option': ['{ "clientID": "spa" }', /`clientID`.*did you mean `clientId`/],
}

for (const [name, [body, message]] of Object.entries(INVALID)) {
  test(`config_invalid: the file ${name}`, time, async () => {
    serve({ body })
    const error = await outcome()
    assert.equal(error.code, 'config_invalid', JSON.stringify(error))
    assert.match(error.message, message)
  })
}

test('the file may begin with a byte order mark', time, async () => {
  serve({ body: `\ufeff${JSON.stringify(app.config)}` })
  assert.equal(await outcome(), 'connected')
})

test('an error reaches every page, and a corrected file the next', time, async () => {
  serve({ body: '{' })
  const page = await app.open('/empty')
  const codes = await page.evaluate(async () => {
    const outcomes = [1, 2].map(() => settle(connect(create.shared(), { timeout: 20 })))
    return (await Promise.all(outcomes)).map(({ error }) => error.code)
  })
  assert.deepEqual(codes, ['config_invalid', 'config_invalid'])
  undo.pop()()
  // A shared worker that has failed ends after a second.
  const isConnected = async () => !(await settle(connect(create.shared(), { timeout: 20 }))).error
  await waitUntil(page, isConnected, undefined, { polling: 300 })
  await page.context().close()
})

/** Ways in which script of the page could try to choose another file. */
const CHOICES = {
  'a query': [`${WORKER}?config=/other.json`],
  'a query with a path': [`${WORKER}?/uploads/strongroom.json`],
  'a fragment': [`${WORKER}#/other.json`],
  'a name': [WORKER, { name: '/other.json' }],
  credentials: [WORKER, { credentials: 'omit' }],
}

for (const [name, choice] of Object.entries(CHOICES)) {
  // claim: script-6
  test(`page cannot choose the file by ${name}`, time, async () => {
    const paths = await requested(async () => assert.equal(await outcome(...choice), 'connected'))
    assert.deepEqual(paths, [CONFIG])
  })
}

test('page cannot choose the file by the name of a shared worker', time, async () => {
  const paths = await requested(async () => {
    const outcome = await blank.evaluate(async (url) => {
      const worker = new SharedWorker(url, { type: 'module', name: '/other.json' })
      const { value, error } = await settle(connect(worker, { timeout: 20 }))
      value?.close()
      return error ?? 'connected'
    }, WORKER)
    assert.equal(outcome, 'connected')
  })
  assert.deepEqual(paths, [CONFIG])
})

for (const member of ['__proto__', 'constructor']) {
  test(`config_invalid: the file has the member ${member}`, time, async () => {
    const own = JSON.stringify(app.config).slice(1)
    serve({ body: `{"${member}":{"apis":[{"url":"${elsewhere.origin}/"}]},${own}` })
    const error = await outcome()
    assert.equal(error.code, 'config_invalid', JSON.stringify(error))
    assert.ok(error.message.includes(member), error.message)
  })
}

// claim: script-6
test('page cannot send a configuration by message', time, async () => {
  serve({ status: 404 })
  const config = { ...app.config, apis: [{ url: `${elsewhere.origin}/` }] }
  const code = await blank.evaluate(async (given) => {
    const worker = new Worker('/strongroom/standalone.js', { type: 'module' })
    for (const message of [given, JSON.stringify(given), { config: given }]) worker.postMessage(message)
    const { error } = await settle(connect(worker, { timeout: 20 }))
    worker.terminate()
    return error?.code
  }, config)
  assert.equal(code, 'config_unavailable')
})

for (const slash of ['%2F', '%252F', '%u002f', '%c0%af']) {
  test(`unsupported: a path that servers and browsers read differently, ${slash}`, time, async () => {
    // The browser takes `/uploads/` for the folder of this path.
    const path = `/uploads/..${slash}strongroom${slash}standalone.js`
    app.site.routes[path] = WORKER
    app.site.workers.push(path)
    app.site.files['/uploads/strongroom.json'] = JSON.stringify(app.config)
    const paths = await requested(async () => assert.equal((await outcome(path)).code, 'unsupported'))
    assert.deepEqual(paths, [])
  })
}

for (const scheme of ['blob', 'data']) {
  // claim: script-6
  test(`unsupported: a ${scheme}: worker that imports the file`, time, async () => {
    app.site.headers[WORKER] = {
      'Access-Control-Allow-Origin': '*',
      'Cross-Origin-Resource-Policy': 'cross-origin',
    }
    undo.push(() => delete app.site.headers[WORKER])
    const paths = await requested(async () => {
      const code = await blank.evaluate(async (kind) => {
        const source = `import '${location.origin}/strongroom/standalone.js'`
        const url =
          kind === 'data'
            ? `data:text/javascript,${encodeURIComponent(source)}`
            : URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
        const worker = new Worker(url, { type: 'module' })
        const { error } = await settle(connect(worker, { timeout: 20 }))
        worker.terminate()
        return error?.code
      }, scheme)
      assert.equal(code, 'unsupported')
    })
    assert.deepEqual(paths, [])
  })
}

// claim: script-6
test('an earlier version in the HTTP cache is not used', time, async () => {
  const fresh = { 'Content-Type': 'application/json', 'Cache-Control': 'max-age=3600' }
  serve({ headers: fresh, body: JSON.stringify({ ...app.config, clientId: '' }) })
  const cached = async () => (await (await fetch('/strongroom/strongroom.json')).json()).clientId
  assert.equal(await blank.evaluate(cached), '')
  undo.pop()()
  // The page itself still gets the earlier version, so the cache has it.
  assert.equal(await blank.evaluate(cached), '')
  assert.equal(await outcome(), 'connected')
})
