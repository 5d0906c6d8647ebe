// If a worker's script does not run, connect() reports the reason: the worker's own error, or what the page can find
// out.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, htmlWith, startApp, waitUntil } from '../support/app.mjs'
import { ALL } from '../support/combinations.mjs'
import { openBlocking } from '../support/extension.mjs'
import { played, told } from '../support/retries.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated']

/** A page notices the faults of both kinds of workers alike. A run without `--all` tests one fault of a shared worker. */
const some = (kind, table) => Object.entries(table).slice(0, kind === 'dedicated' || ALL ? undefined : 1)

const IMPORT = `import { vault } from '/strongroom/worker.js'`

const undo = []
let app

before(async () => {
  app = await startApp({ plainFetch: true })
})
after(() => app?.close())
afterEach(() => {
  app.setConfig({})
  while (undo.length) undo.pop()()
})

/**
 * Connects to a worker whose file is at `url`, in a new browser context. Resolves with the `error` of `connect()`, and
 * with `isGenuine`, which is true if the page's worker constructors are the browser's own.
 */
async function outcome(
  kind,
  url = '/auth.worker.js',
  form = 'function',
  options = { type: 'module' },
  browserContext = undefined,
) {
  const page = await app.open('/empty', browserContext)
  const result = await page.evaluate(connecting, { kind, url, form, options })
  await page.context().close()
  return result
}

/** This function runs in the page. */
const connecting = async ({ kind, url, form, options }) => {
  globalThis.made = 0
  const make = () => {
    made++
    return kind === 'shared' ? new SharedWorker(url, options) : new Worker(url, options)
  }
  const { error } = await settle(connect(form === 'function' ? make : make(), { timeout: 8 }))
  const isGenuine = /native code/.test(String(Worker)) && /native code/.test(String(SharedWorker))
  return { error, isGenuine }
}

const override = (path, change) => undo.push(app.site.override(path, change))
const source = (body) => () => app.setWorker(body)
const html = { headers: { 'Content-Type': 'text/html' }, body: '<!doctype html><title>App</title>' }
const redirectTo = (url) => ({ status: 302, headers: { Location: url } })
const NO_MODULE = /auth\.worker\.js uses import, but the worker was made without \{ type: 'module' \}: add it/
const AS_ONE = /new SharedWorker\(new URL\([^)]*\), …\) as one expression/

/** Faults of a worker file, each with the error message that reports it. */
const FAILURES = {
  'is not found': [
    () => override('/auth.worker.js', { status: 404, body: 'Not found' }),
    /auth\.worker\.js was not found: the server responds with 404/,
  ],
  'fails on the server': [
    () => override('/auth.worker.js', { status: 500, body: 'Syntax error' }),
    /auth\.worker\.js was not served: the server responds with 500; check its log/,
  ],
  'is HTML': [() => override('/auth.worker.js', html), /auth\.worker\.js is HTML instead of JavaScript/],
  'imports a bare name': [
    source(`import { vault } from 'strongroom/worker'`),
    /auth\.worker\.js imports 'strongroom\/worker', a bare name.*bundle the file/,
  ],
  'imports a bare name, minified': [
    source(`const a=1;import{vault as v}from"strongroom/worker";v({})`),
    /imports 'strongroom\/worker', a bare name/,
  ],
  'imports a missing file': [
    source(`${IMPORT}\nimport '/gone.js'`),
    /gone\.js was not found: the server responds with 404/,
  ],
  'imports HTML': [
    () => {
      override('/strongroom/worker.js', html)
      app.setWorker(IMPORT)
    },
    /strongroom\/worker\.js is HTML/,
  ],
  'is behind a gate on another origin': [
    () => override('/auth.worker.js', redirectTo(`${app.provider.issuer}/gate`)),
    /auth\.worker\.js is redirected to another origin, as by a gate that asks users to sign in/,
  ],
  'is behind a gate on this origin': [
    () => override('/auth.worker.js', redirectTo('/empty')),
    /auth\.worker\.js is redirected to http\S+\/empty, which is HTML, as by a gate that asks users to sign in/,
  ],
  'has a syntax error': [
    source(`${IMPORT}\nvault({`),
    /auth\.worker\.js can be loaded, but does not run|threw/,
  ],
}

for (const kind of KINDS) {
  for (const [name, [spoil, message]] of some(kind, FAILURES)) {
    const scene = async () => {
      spoil()
      const { error, isGenuine } = await outcome(kind)
      assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
      assert.match(error.message, message)
      assert.ok(isGenuine, 'a constructor of the page was replaced')
    }
    test(`worker_failed says that the ${kind} worker ${name}`, time, played(scene))
  }

  const URLS = {
    'raw TypeScript': ['/auth.worker.ts', /auth\.worker\.ts is a TypeScript source file/],
    'a data: URL': [
      `data:video/mp2t;base64,${btoa(`import { vault } from 'strongroom/worker'`)}`,
      /data: URL, into which a bundler has put the source file/,
    ],
  }
  for (const [name, [url, message]] of some(kind, URLS)) {
    const scene = async () => {
      const headers = { 'Content-Type': 'video/mp2t' }
      override('/auth.worker.ts', { headers, body: 'const a: number = 1' })
      const { error } = await outcome(kind, url)
      assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
      assert.match(error.message, message)
      assert.match(error.message, AS_ONE)
    }
    test(`worker_failed says that the ${kind} worker is ${name}`, time, played(scene))
  }

  test(`worker_failed explains a ${kind} worker’s fault without connect-src`, time, async () => {
    const before = app.site.pageCsp
    app.site.pageCsp = before.replace(/connect-src .*/, "connect-src 'none'")
    undo.push(() => (app.site.pageCsp = before))
    for (const name of ['is not found', 'is HTML']) {
      const [spoil, message] = FAILURES[name]
      await played(async () => {
        spoil()
        const { error } = await outcome(kind)
        undo.pop()()
        assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
        assert.match(error.message, message)
      })()
    }
  })

  for (const [name, options] of some(kind, { 'without a type': {}, classic: { type: 'classic' } })) {
    const scene = async () => {
      const { error } = await outcome(kind, undefined, undefined, options)
      assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
      assert.match(error.message, NO_MODULE)
    }
    test(`worker_failed asks for type 'module' of a ${kind} worker ${name}`, time, played(scene))
  }

  test(`worker_failed has reason, file and line of a ${kind} worker that throws`, time, async () => {
    app.setWorker(`${IMPORT}\nthrow new Error('a mistake of mine')`)
    const { error } = await outcome(kind)
    assert.equal(error.code, 'worker_failed')
    assert.match(error.message, /the worker's file threw: .*a mistake of mine \(http\S+auth\.worker\.js:2\)/)
  })

  test(`worker_failed has the reason of a ${kind} worker whose import throws first`, time, async () => {
    app.site.files['/env.js'] = `throw new Error('no environment')`
    undo.push(() => delete app.site.files['/env.js'])
    app.setWorker(`import '/env.js'\n${IMPORT}`)
    const scene = async () => {
      const { error } = await outcome(kind)
      assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
      assert.match(error.message, /the worker's file threw: .*no environment.*env\.js:1/)
    }
    await played(scene)()
  })

  test(`worker_failed has the reason of a top-level rejection in a ${kind} worker`, time, async () => {
    app.setWorker(`${IMPORT}\nawait fetch('/index.html')\nthrow new Error('no configuration')`)
    const { error } = await outcome(kind)
    assert.equal(error.code, 'worker_failed')
    assert.match(error.message, /the worker's file threw: .*no configuration \(http\S+auth\.worker\.js:3\)/)
  })

  test(`config_invalid: a ${kind} worker calls vault() twice and does not catch it`, time, async () => {
    const config = JSON.stringify(app.config)
    app.setWorker(`${IMPORT}\nvault(${config})\nvault(${config})`)
    const { error } = await outcome(kind)
    assert.equal(error.code, 'config_invalid')
    assert.match(error.message, /^vault\(\) was called twice.*once per worker file/)
    assert.doesNotMatch(error.message, /named option/)
  })

  test(`a ${kind} worker that throws after vault() serves its pages`, time, async () => {
    app.setWorker(`${IMPORT}\nvault(${JSON.stringify(app.config)})\nthrow new Error('of no matter')`)
    assert.equal((await outcome(kind)).error, undefined)
  })
}

for (const [name, headers] of Object.entries({
  'that is isolated': {
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Opener-Policy': 'same-origin',
  },
  'with COEP alone': { 'Cross-Origin-Embedder-Policy': 'require-corp' },
})) {
  test(`worker_failed asks for the header of a dedicated worker in a page ${name}`, time, async () => {
    override('/empty.html', { headers })
    const { error } = await outcome('dedicated')
    assert.equal(error.code, 'worker_failed')
    assert.match(
      error.message,
      /auth\.worker\.js is served without Cross-Origin-Embedder-Policy, which the page has: send 'require-corp'/,
    )
    // Control experiment: with the header the worker runs.
    for (const path of ['/auth.worker.js', '/strongroom/worker.js']) {
      override(path, { headers: { 'Cross-Origin-Embedder-Policy': 'require-corp' } })
    }
    assert.equal((await outcome('dedicated')).error, undefined)
  })
}

for (const other of [{ credentials: 'omit' }, { extendedLifetime: true }]) {
  const [option] = Object.keys(other)
  test(`worker_failed names a shared worker that runs with another ${option}`, time, async () => {
    const first = await app.open('/empty')
    const context = first.context()
    await first.evaluate(async (options) => {
      const worker = new SharedWorker('/auth.worker.js', { type: 'module', ...options })
      const { port1, port2 } = new MessageChannel()
      worker.port.postMessage('strongroom', [port2])
      await new Promise((resolve) => (port1.onmessage = resolve))
    }, other)
    const page = await app.open('/empty', context)
    const argument = { kind: 'shared', url: '/auth.worker.js', form: 'function', options: { type: 'module' } }
    const { error, isGenuine } = await page.evaluate(connecting, argument)
    assert.equal(error.code, 'worker_failed')
    assert.match(error.message, /auth\.worker\.js is running already, with other options/)
    assert.ok(isGenuine)
    await context.close()
  })
}

/** Policies that forbid the worker, each with what the error says about it. */
const POLICIES = {
  'with worker-src': [
    `script-src 'self'; worker-src 'none'`,
    `its worker-src is "'none'"; add the file to it`,
  ],
  'with child-src': [
    `script-src 'self'; child-src 'none'`,
    `it has no worker-src, and its child-src is "'none'"; add worker-src with the file`,
  ],
  'with a nonce': [
    `script-src 'nonce-a1b2'`,
    `it has no worker-src, and its script-src is "'nonce-…'"; add worker-src with the file`,
  ],
}

/**
 * Connects to a worker from a page with the policy `policy`. Resolves with the error, and with the number of lines in the
 * console about policies.
 */
async function outcomeWith(policy, kind, besides = () => {}) {
  const before = app.site.pageCsp
  app.site.pageCsp = `default-src 'none'; img-src data:; ${policy}`
  undo.push(() => (app.site.pageCsp = before))
  override('/empty.html', { body: htmlWith('/tools.js').replace('<script', '<script nonce="a1b2"') })
  const page = await app.open('/empty')
  let lines = 0
  page.on('console', (message) => (lines += /Content Security Policy/.test(message.text())))
  const argument = { kind, url: '/auth.worker.js', form: 'function', options: { type: 'module' } }
  const [{ error }] = await Promise.all([page.evaluate(connecting, argument), page.evaluate(besides)])
  await page.context().close()
  return { error, lines }
}

/** Policies with other events besides the one of the refusal. */
const NOISY = {
  'beside a policy that only reports': [`script-src 'self'; worker-src 'none'`, "worker-src 'self'"],
  'of two directives with one name': [`script-src 'self'; worker-src 'none'; worker-src 'self'`, undefined],
}
for (const [name, [policy, reportOnly]] of Object.entries(NOISY)) {
  test(`worker_failed names a policy ${name}`, time, async () => {
    if (reportOnly) app.site.headers['/empty.html'] = { 'Content-Security-Policy-Report-Only': reportOnly }
    undo.push(() => delete app.site.headers['/empty.html'])
    const { error } = await outcomeWith(policy, 'dedicated')
    assert.match(error.message, /its worker-src is "'none'"; add the file to it/)
  })
}

test('worker_failed names the policy although another worker was refused later', time, async () => {
  const policy = `script-src 'self'; worker-src 'none'`
  const { error } = await outcomeWith(policy, 'dedicated', () => void new Worker('/other.js'))
  assert.match(error.message, /the page's policy forbids http\S+auth\.worker\.js: its worker-src is "'none'"/)
})

test('script cannot make up a refusal', time, async () => {
  override('/auth.worker.js', { status: 404, body: 'Not found' })
  const forge = () => {
    const blockedURI = new URL('/auth.worker.js', location.href).href
    const options = { blockedURI, effectiveDirective: 'worker-src', disposition: 'enforce' }
    const originalPolicy = 'worker-src call me'
    const event = new SecurityPolicyViolationEvent('securitypolicyviolation', { ...options, originalPolicy })
    document.dispatchEvent(event)
  }
  const { error } = await outcomeWith(`script-src 'self'; worker-src 'self'`, 'dedicated', forge)
  assert.match(error.message, /auth\.worker\.js was not found/)
})

test('worker_failed says that the page may not read the file', time, async () => {
  override('/auth.worker.js', { status: 404, body: 'Not found' })
  const scripts = ['/tools.js', '/strongroom/'].map((path) => app.site.origin + path).join(' ')
  const { error } = await outcomeWith(`script-src ${scripts}; worker-src 'self'`, 'dedicated')
  assert.match(error.message, /the page's policy \(script-src-elem.*\) lets the page read nothing/)
  assert.doesNotMatch(error.message, /an extension/)
})

test('a function that fails before it creates a worker is not called again', time, async () => {
  const page = await app.open('/empty')
  const [error, calls] = await page.evaluate(async () => {
    let calls = 0
    const { error } = await settle(connect(() => (calls++, Promise.reject(new Error('no network')))))
    return [error, calls]
  })
  assert.equal(calls, 1)
  assert.match(error.message, /no network/)
  await page.context().close()
})

for (const kind of KINDS) {
  for (const [name, [policy, message]] of some(kind, POLICIES)) {
    test(`worker_failed names the directive that forbids a ${kind} worker: ${name}`, time, async () => {
      const { error, lines } = await outcomeWith(policy, kind)
      assert.equal(error.code, 'worker_failed')
      assert.ok(error.message.includes(message), error.message)
      assert.match(error.message, /the page's policy forbids http\S+auth\.worker\.js: /)
      assert.equal(lines, 1, 'only the browser’s own line')
    })
  }

  if (!ALL && kind === 'shared') continue
  for (const script of [`'self'`, `'nonce-a1b2'`]) {
    test(
      `the look for the fault of a ${kind} worker adds no line to the console, script-src ${script}`,
      time,
      async () => {
        for (const name of ['is not found', 'is HTML']) {
          const [spoil, message] = FAILURES[name]
          await played(async () => {
            spoil()
            const { error, lines } = await outcomeWith(`script-src ${script}; worker-src 'self'`, kind)
            while (undo.length) undo.pop()()
            assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
            assert.match(error.message, message)
            assert.equal(lines, 0)
          })()
        }
      },
    )
  }

  const scene = async () => {
    FAILURES['imports a bare name'][0]()
    const { error, lines } = await outcomeWith(`script-src 'self'; worker-src 'self'`, kind)
    while (undo.length) undo.pop()()
    assert.equal(kind === 'shared' ? told(error.code) : error.code, 'worker_failed')
    assert.ok(lines > 0)
    assert.match(error.message, /lines about connect-src come from the search for this reason/)
  }
  test(`a line that the look for the fault of a ${kind} worker adds is explained`, time, played(scene))
}

for (const kind of KINDS) {
  test(`worker_failed names an extension that may block a ${kind} worker`, time, async () => {
    const context = await openBlocking('auth.worker.js')
    try {
      // The extension's rules may not apply at once.
      const load = () =>
        fetch('/auth.worker.js').then(
          () => false,
          () => true,
        )
      await waitUntil(await app.open('/empty', context), load)
      const { error } = await outcome(kind, undefined, undefined, undefined, context)
      assert.equal(error.code, 'worker_failed')
      assert.match(
        error.message,
        /the page cannot request http\S+auth\.worker\.js: an extension of the browser/,
      )
    } finally {
      await context.close()
    }
  })
}

test('worker_failed asks for a function instead of a worker', time, async () => {
  override('/auth.worker.js', { status: 404, body: 'Not found' })
  const { error } = await outcome('dedicated', undefined, 'worker')
  assert.equal(error.code, 'worker_failed')
  assert.match(error.message, /pass connect\(\) a function that makes the worker/)
})

test("worker_failed asks for type 'module' if a worker was passed", time, async () => {
  const { error } = await outcome('dedicated', undefined, 'worker', {})
  assert.match(error.message, NO_MODULE)
})

test('worker_failed without its explanation is still worker_failed', time, async () => {
  override('/auth.worker.js', { status: 404, body: 'Not found' })
  override('/strongroom/worker-failure.js', { status: 404, body: 'Not found' })
  const { error } = await outcome('dedicated')
  assert.equal(error.code, 'worker_failed')
  assert.match(error.message, /could not be loaded or run/)
})

test('a page whose worker runs never loads the explanation', time, async () => {
  const before = app.site.requests.length
  const page = await app.open()
  await booted(page)
  assert.ok(!app.site.requests.slice(before).some(({ path }) => /worker-failure/.test(path)))
})

test('wasm_failed says that the module’s URL returned HTML', time, async () => {
  override('/strongroom/strongroom_bg.wasm', html)
  const { error } = await outcome('dedicated')
  assert.equal(error.code, 'wasm_failed')
  assert.match(error.message, /http\S+\/strongroom\/strongroom_bg\.wasm is HTML, not WebAssembly/)
})
