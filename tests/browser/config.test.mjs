// Mistakes in the worker file, and faults of its wasm module, reach the page with an error code. Nothing hangs. The
// worker loads one module, whatever the configuration. The native tests of src/vault/config.rs check other mistakes in
// options, and worker_failure.all.test.mjs checks workers whose file does not run.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, afterEach, before, test } from 'node:test'
import { booted, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'

const time = { timeout: 60_000 }

const KINDS = ['shared', 'dedicated']

const WASM = '/strongroom/strongroom_bg.wasm'

const undo = []
let app
/** A page in which many tests start their workers one after the other. */
let blank

before(async () => {
  app = await startApp({ timeout: 20 })
  blank = await app.open('/empty')
})
after(() => app?.close())
afterEach(() => {
  app.setConfig({})
  while (undo.length) undo.pop()()
})

/** Resolves with the error of `connect()` in a new browser context. */
async function outcome(kind = 'shared', timeout = 20) {
  const page = await app.open('/empty')
  const { error } = await page.evaluate(connecting, { kind, timeout })
  await page.context().close()
  return error
}

/** Resolves with the error of `connect()` to a dedicated worker, in the page `blank`. */
async function outcomeHere() {
  const { error } = await blank.evaluate(async () => {
    const worker = create.dedicated()
    const outcome = await settle(connect(worker, { timeout: 20 }))
    worker.terminate()
    return outcome
  })
  return error
}

/** This function runs in the page. */
const connecting = async ({ kind, timeout }) => settle(connect(create[kind](), { timeout }))

const OPTIONS = {
  // claim: network-1
  'an issuer over http': [{ issuer: 'http://id.example.com' }, /`issuer`.*http:\/\/id\.example\.com/],
  'a redirectUri of another origin': [
    { redirectUri: 'https://elsewhere.example/cb' },
    /`redirectUri`.*elsewhere/,
  ],
  'a misspelled option': [{ clientID: 'x' }, /`clientID`.*did you mean `clientId`\?/],
  'a limit outside of session': [{ idle: 60 }, /`idle`.*did you mean `session\.idle`\?/],
}

for (const [name, [config, message]] of Object.entries(OPTIONS)) {
  test(`config_invalid: ${name}`, time, async () => {
    app.setConfig(config)
    const error = await outcomeHere()
    assert.equal(error.code, 'config_invalid')
    assert.match(error.message, message)
    assert.ok(error.isStrongroomError)
  })
}

leftOut('config_invalid: not an object', time, async () => {
  app.setWorker(`import { vault } from '/strongroom/worker.js'\nvault()`)
  assert.equal((await outcome()).code, 'config_invalid')
})

leftOut('config_invalid: a value that is not JSON', time, async () => {
  app.setWorker(`import { vault } from '/strongroom/worker.js'\nvault({ issuer: 1n })`)
  assert.equal((await outcome()).code, 'config_invalid')
})

for (const [name, changes] of Object.entries({
  requestTimeout: 'requestTimeout() {}',
  'apis[0].url': 'apis: [{ url: () => "https://api.example.com/" }]',
  'session.idle': 'session: { idle: () => 60 }',
})) {
  leftOut(`config_invalid: a function in place of ${name}`, time, async () => {
    app.setWorker(`import { vault } from '/strongroom/worker.js'
vault({ ...${JSON.stringify(app.config)}, ${changes} })`)
    const error = await outcomeHere()
    assert.equal(error.code, 'config_invalid')
    assert.ok(error.message.startsWith(`\`${name}\` is a function: write the value that it returns`))
  })
}

for (const [name, changes] of Object.entries({
  session: 'session: new (class { get idle() { return 60 } })()',
  'apis[0]': 'apis: [Object.create({ url: "/api/" })]',
  sameClaims: 'sameClaims: new Set(["org"])',
  authorizationParams: 'authorizationParams: { [Symbol("a")]: "b" }',
})) {
  leftOut(`config_invalid: ${name} is not a plain object`, time, async () => {
    app.setWorker(`import { vault } from '/strongroom/worker.js'
vault({ ...${JSON.stringify(app.config)}, ${changes} })`)
    const error = await outcomeHere()
    assert.equal(error.code, 'config_invalid')
    assert.ok(error.message.startsWith(`\`${name}\` must be `), error.message)
  })
}

// claim: script-5
test('config_invalid: vault() called twice', time, async () => {
  const twice = `import { vault } from '/strongroom/worker.js'
const config = ${JSON.stringify(app.config)}
vault(config)
try { vault({ ...config, apis: [] }) } catch (error) { console.error(error.code) }`
  app.setWorker(twice)
  assert.equal((await outcome()).code, 'config_invalid')
})

leftOut('config_invalid reaches later pages', time, async () => {
  app.setConfig({ scope: '' })
  const page = await app.open('/empty')
  const first = await page.evaluate(connecting, { kind: 'dedicated', timeout: 20 })
  const rest = await page.evaluate(async () => {
    const worker = create.shared()
    const outcomes = []
    for (let i = 0; i < 3; i++) outcomes.push(await settle(connect(worker)))
    return outcomes
  })
  for (const { error } of [first, ...rest]) assert.equal(error.code, 'config_invalid')
})

leftOut('a reload starts the worker from its fixed file', time, async () => {
  app.setConfig({ scope: '' })
  const page = await app.open('/empty')
  const first = await page.evaluate(connecting, { kind: 'shared', timeout: 20 })
  assert.equal(first.error.code, 'config_invalid')
  app.setConfig({})
  const code = () => page.evaluate(connecting, { kind: 'shared', timeout: 10 })
  let last
  for (const end = Date.now() + 20_000; Date.now() < end;) {
    last = await code()
    if (!last.error) return
  }
  assert.fail(last.error.code)
})

for (const kind of KINDS) {
  leftOut(`worker_timeout: a ${kind} worker that does not call vault()`, time, async () => {
    app.setWorker(`import '/strongroom/worker.js'`)
    const page = await app.open('/empty')
    const started = Date.now()
    const { error } = await page.evaluate(connecting, { kind, timeout: 1 })
    assert.equal(error.code, 'worker_timeout')
    assert.ok(Date.now() - started < 9000, 'not the default')
  })

  test(`wasm_missing: the browser of a ${kind} worker has no WebAssembly`, time, async () => {
    app.site.files['/lockdown.js'] = 'delete self.WebAssembly'
    app.setWorker(`import '/lockdown.js'
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})`)
    const error = await outcome(kind)
    assert.equal(error.code, 'wasm_missing')
    assert.match(error.message, /this browser runs no WebAssembly/)
  })

  test(`wasm_blocked: the policy of a ${kind} worker forbids WebAssembly`, time, async () => {
    const policy = "default-src 'none'; script-src 'self'; connect-src 'self'"
    undo.push(app.site.override('/auth.worker.js', { headers: { 'Content-Security-Policy': policy } }))
    const error = await outcome(kind)
    assert.equal(error.code, 'wasm_blocked')
    assert.match(error.message, /'wasm-unsafe-eval'/)
  })
}

leftOut('a late vault() serves pages that connected before', time, async () => {
  app.setWorker(`import { vault } from '/strongroom/worker.js'
await new Promise((resolve) => setTimeout(resolve, 300))
vault(${JSON.stringify(app.config)})`)
  const page = await app.open()
  assert.deepEqual(await booted(page), { value: null })
})

/** Returns the names of the WebAssembly files that were requested. */
const modules = () => app.site.requests.map(({ path }) => /\w+\.wasm$/.exec(path)?.[0]).filter((name) => name)

const CONFIGS = {
  'only required options': {},
  'options of each kind': {
    session: { idle: 60, absolute: 3600, persist: 'sealed' },
    claims: ['email'],
    par: true,
    consent: 'always',
    authorizationParams: { audience: 'a' },
    clockTolerance: 1,
    requestTimeout: 5,
    refreshTimeout: 20,
    inspect: true,
    dpop: true,
    userInfo: true,
    reasons: true,
    deviceFlow: true,
    idTokenSignedResponseAlg: 'EdDSA',
    unrequestedScopes: 'refuse',
    apis: [{ url: 'https://api.example.com/', methods: ['GET'], denyHeaders: ['X-Api-Key'], stepUp: true }],
  },
}

for (const [name, config] of Object.entries(CONFIGS)) {
  leftOut(`one module is requested: ${name}`, time, async () => {
    app.setConfig(config)
    app.site.requests.length = 0
    assert.equal(await outcomeHere(), undefined)
    assert.deepEqual(modules(), ['strongroom_bg.wasm'])
  })
}

leftOut('one module is requested: an invalid option, which the error names', time, async () => {
  app.setConfig({ scope: '' })
  app.site.requests.length = 0
  assert.match((await outcomeHere()).message, /^`scope` is "": /)
  assert.deepEqual(modules(), ['strongroom_bg.wasm'])
})

test('a control: a second request of a module is noticed', time, async () => {
  app.setWorker(`import { vault } from '/strongroom/worker.js'
await fetch('${WASM}?again')
vault(${JSON.stringify(app.config)})`)
  app.site.requests.length = 0
  assert.equal(await outcomeHere(), undefined)
  assert.deepEqual(modules(), ['strongroom_bg.wasm', 'strongroom_bg.wasm'])
})

for (const [name, href] of Object.entries({ missing: undefined, 'a blob: URL': 'blob:http://localhost/1' })) {
  leftOut(`a given module works if import.meta.url is ${name}`, time, async () => {
    const file = await readFile(new URL('../../pkg/dist/worker.js', import.meta.url), 'utf8')
    const body = file.replaceAll('import.meta.url', JSON.stringify(href) ?? 'undefined')
    assert.notEqual(body, file)
    undo.push(app.site.override('/strongroom/worker.js', { body }))
    app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)}, { wasm: '${WASM}' })`)
    assert.equal(await outcomeHere(), undefined)
  })
}

const wasm = { 'Content-Type': 'application/wasm' }
const BAD_MODULES = {
  'is not there': { status: 404, body: 'Not found' },
  'is cut off': { headers: wasm, body: Uint8Array.of(0, 97, 115, 109, 1, 0, 0) },
  'is another module': { headers: wasm, body: Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0) },
}

for (const [name, change] of Object.entries(BAD_MODULES)) {
  leftOut(`wasm_failed: the module ${name}`, time, async () => {
    undo.push(app.site.override(WASM, change))
    const error = await outcome()
    assert.equal(error.code, 'wasm_failed')
    assert.match(error.message, /strongroom_bg\.wasm/)
  })
}

leftOut('wasm_failed: the worker’s policy forbids fetching the module', time, async () => {
  const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'none'"
  undo.push(app.site.override('/auth.worker.js', { headers: { 'Content-Security-Policy': policy } }))
  assert.equal((await outcome()).code, 'wasm_failed')
})

const SOURCES = {
  'a path': `'${WASM}'`,
  'a URL': `new URL('${WASM}', location.href)`,
  'a promise of a Response': `fetch('${WASM}')`,
  bytes: `await (await fetch('${WASM}')).arrayBuffer()`,
  'a module': `await WebAssembly.compileStreaming(fetch('${WASM}'))`,
}

for (const [name, source] of Object.entries(SOURCES)) {
  leftOut(`the module can be given as ${name}`, time, async () => {
    app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)}, { wasm: ${source} })`)
    const page = await app.open()
    assert.deepEqual(await booted(page), { value: null })
  })
}

// This trap is real but does not come from the core. The worker cannot distinguish this trap from a trap of the core.
const TRAP = `
const bytes = Uint8Array.of(0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,102,0,0,10,5,1,3,0,0,11)
const trap = async () => (await WebAssembly.instantiate(bytes)).instance.exports.f
const f = await trap()
new BroadcastChannel('trap').onmessage = () => f()
`

for (const kind of KINDS) {
  // claim: script-25
  test(`vault_crashed: every page learns of a trap in a ${kind} worker`, time, async () => {
    app.setWorker(`import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(app.config)})
${TRAP}`)
    const page = await app.open('/empty')
    // The provider does not respond, because otherwise the login would navigate away from the page.
    app.provider.faults.add('discovery', { times: 10, hold: new Promise(() => {}) })
    const codes = await page.evaluate(async (which) => {
      const worker = create[which]()
      const auth = await connect(worker)
      const failed = new Promise((resolve) => auth.on('failed', resolve))
      const pending = settle(auth.login())
      // The message is repeated, because the vault may be ready before the rest of the worker file listens to the
      // channel.
      const channel = new BroadcastChannel('trap')
      const telling = setInterval(() => channel.postMessage('now'), 50)
      const outcomes = [{ error: await failed }, await pending]
      clearInterval(telling)
      outcomes.push(await settle(auth.inspect()), await settle(connect(worker)))
      return outcomes.map(({ error }) => error.code)
    }, kind)
    assert.deepEqual(codes, Array(4).fill('vault_crashed'))
    app.provider.faults.clear()
    // The tab stays open while it tries to connect again.
    const retry = async ([which, timeout]) =>
      (await settle(connect(create[which](), { timeout }))).error?.code
    let code
    do code = await page.evaluate(retry, [kind, 10])
    while (code)
  })
}
