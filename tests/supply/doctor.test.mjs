// The command line, the report and the requests of `strongroom doctor`.
import assert from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { listen } from '../support/listen.mjs'
import { configFile, doctor, startDeployment, strongroom } from '../support/doctor.mjs'

let deployment
before(async () => {
  deployment = await startDeployment()
})
after(() => deployment.close())

test('the program has at most 114 KB', async () => {
  const { size } = await stat(new URL('../../pkg/dist/doctor/index.js', import.meta.url))
  assert.ok(size <= 114 * 1024, `${size} bytes`)
})

test('without arguments and with --help, it prints every option', async () => {
  const readme = (await readFile(new URL('../../docs/doctor.md', import.meta.url), 'utf8')).match(
    /`--[\w-]+/g,
  )
  for (const args of [[], ['--help'], ['doctor', '--help']]) {
    const { status, stdout } = await strongroom(args)
    assert.equal(status, 0)
    for (const option of [
      '--config',
      '--worker',
      '--vault-frame',
      '--handler',
      '--probe-token',
      '--user-agent',
      '--allow-private',
      '--fix-headers',
      '--json',
      '--help',
    ]) {
      assert.ok(stdout.includes(`\n  ${option} `), option)
      assert.ok(readme.includes(`\`${option}`), `docs/doctor.md lacks ${option}`)
    }
  }
})

for (const [args, message] of [
  [['look'], "there is no command 'look', only 'doctor' and 'metadata'"],
  [['doctor'], "the app's address is missing"],
  [['doctor', 'app.example.com'], "'app.example.com' is not an http or https URL"],
  [['doctor', 'https://user:secret@app.example.com'], 'the URL must not contain a user or password'],
  [['doctor', 'https://app.example.com', 'more'], "'more' comes after"],
  [['doctor', 'https://app.example.com', '--jsn'], "there is no option '--jsn'"],
  [['doctor', 'https://app.example.com', '--config'], '--config needs a value'],
  [['doctor', 'https://app.example.com', '--fix-headers', 'apache'], "knows no host 'apache'"],
  [['doctor', 'https://app.example.com', '--worker', 'a.js'], 'must be a path that begins with a slash'],
  [['doctor', 'https://app.example.com', '--config', '/no/such.json'], '/no/such.json cannot be read'],
]) {
  test(`the command line ${args.join(' ')} ends with status 2`, async () => {
    const { status, stdout, stderr } = await strongroom(args)
    assert.equal(status, 2)
    assert.equal(stdout, '')
    assert.ok(stderr.includes(message), stderr)
    assert.ok(!stderr.includes('secret@'), 'a password is not printed')
  })
}

for (const [name, content, message] of [
  ['a.json', '{', 'is not valid JSON'],
  ['b.json', '[]', 'it must be an object'],
  ['c.mjs', 'export const other = {}', 'exports neither `config` nor a default'],
  ['d.mjs', 'throw new Error("broken")', 'cannot be imported: broken'],
  [
    'f.mjs',
    'export default { fetch() {} }',
    'exports a token handler, which does not show its configuration',
  ],
  ['g.mjs', 'export const handler = { fetch() {} }', 'write it as `export const config = { … }`'],
  [
    'e.mjs',
    'import "./auth.metadata"',
    "Node needs the extension in an import, such as './auth.metadata.ts'",
  ],
]) {
  test(`the file ${name} with ${content} cannot be a configuration`, async () => {
    const file = await configFile(content, name)
    const { status, stderr } = await strongroom(['doctor', deployment.site.origin, '--config', file])
    assert.equal(status, 2)
    assert.ok(stderr.includes(message), stderr)
  })
}

test('reads a configuration from a module, by its export `config` or its default', async () => {
  const json = JSON.stringify(deployment.config)
  for (const start of ['export const config =', 'export default']) {
    const file = await configFile(`${start} ${json}`, 'auth.config.mjs')
    const { by } = await doctor(deployment.site.origin, '--config', file)
    assert.equal(by['config.valid'].result, 'ok')
  }
})

test('ends also if the configuration keeps its process alive', async () => {
  const content = 'setInterval(() => {}, 1e6)\nexport const config = { client: { id: "web" } }'
  const file = await configFile(content, 'auth.config.mjs')
  const { status, stdout } = await strongroom(['doctor', deployment.site.origin, '--config', file])
  assert.equal(status, 1, 'there is no token handler')
  assert.match(stdout, / requests\n$/)
})

test('reads TypeScript where Node does, and says elsewhere what to do', async () => {
  const json = JSON.stringify(deployment.config)
  const file = await configFile(`export const config: object = ${json}`, 'auth.config.ts')
  const { status, stdout, stderr } = await strongroom([
    'doctor',
    deployment.site.origin,
    '--json',
    '--config',
    file,
  ])
  if (process.features.typescript) {
    assert.equal(JSON.parse(stdout).lines.find(({ id }) => id === 'config.valid').result, 'ok')
  } else {
    assert.equal(status, 2)
    assert.match(
      stderr,
      /does not read TypeScript in .*auth\.config\.ts: (use Node 22\.18.*--outfile=\S*auth\.config\.doctor\.mjs`|run the command again)/,
    )
  }
})

test('without a configuration, lines that need it are left out', async () => {
  const { status, lines, by } = await doctor(deployment.site.origin)
  assert.equal(by['config.valid'].result, 'unused')
  assert.deepEqual(
    lines.filter(({ id }) => /^(provider|api)\./.test(id)),
    [],
  )
  assert.equal(by['worker.policy'].result, 'ok')
  assert.equal(status, 0)
})

test('finds strongroom.json beside a standalone worker', async () => {
  const { site, config } = deployment
  const worker = '/strongroom/standalone.js'
  site.workers.push(worker)
  site.files[worker] = 'new URL("./strongroom_bg.wasm",import.meta.url)'
  site.files['/strongroom/strongroom_bg.wasm'] = site.files['/strongroom_bg.wasm']
  site.files['/strongroom/strongroom.json'] = JSON.stringify(config)
  const policy = site.pageCsp
  try {
    site.pageCsp = policy.replace('/auth.worker.js', worker)
    const { status, by } = await doctor(site.origin)
    assert.equal(by['config.valid'].result, 'ok')
    assert.equal(by['config.file'].result, 'ok')
    assert.equal(by['provider.issuer'].result, 'ok')
    assert.equal(status, 0)
    site.headers['/strongroom/strongroom.json'] = { 'Cache-Control': 'max-age=600' }
    const cached = await doctor(site.origin)
    assert.match(
      cached.by['config.file'].fix,
      /^Cache-Control: no-cache \(for \/strongroom\/strongroom\.json only\. /,
    )
    assert.equal(cached.status, 1)
    site.headers = {}
    const { issuer } = config
    site.files['/strongroom/strongroom.json'] = JSON.stringify({ ...config, issuer: `${issuer}/` })
    assert.equal((await doctor(site.origin)).by['provider.issuer'].fix, `"issuer": "${issuer}"`)
    site.files['/strongroom/strongroom.json'] = '{'
    assert.equal((await doctor(site.origin)).by['config.json'].result, 'fault')
    delete site.files['/strongroom/strongroom.json']
    const missing = await doctor(site.origin)
    assert.equal(missing.by['config.file'].result, 'fault')
    assert.equal(missing.status, 1)
  } finally {
    site.pageCsp = policy
  }
})

test('the report for people has a sign for each line, and the number of requests', async () => {
  const { stdout, status } = await strongroom(['doctor', deployment.site.origin])
  assert.equal(status, 0)
  assert.match(stdout, /^strongroom doctor http/)
  assert.match(stdout, /\nPage\n {2}✓ /)
  assert.match(stdout, /\n✓ \d+ {2}no fault {2}~ 0 {2}\? 0 {2}– \d+ {3}\d+ requests\n$/)
})

test('a policy to which several faults contribute is printed once', async () => {
  const server = await listen({
    handler: (request, response) =>
      response
        .writeHead(200, { 'Content-Type': 'text/html', 'Content-Security-Policy': "default-src 'self'" })
        .end('<script src="/app.js"></script>'),
  })
  const { stdout } = await strongroom(['doctor', server.origin, '--worker', '/auth.worker.js'])
  await server.close()
  const lines = stdout.match(/ fix {3}.*/g)
  const [first, ...others] = lines.filter((line) => /base-uri 'none'|the whole line of/.test(line))
  assert.match(first, /Content-Security-Policy: default-src 'self'; .*base-uri 'none'/)
  assert.ok(others.length >= 2)
  for (const line of others) assert.match(line, /the whole line of "/)
})

// claim: package-6
test('what a server sends cannot write to the terminal', async () => {
  const server = await listen({
    handler: (request, response) =>
      response
        .writeHead(200, { 'Content-Type': 'text/html' })
        .end('<meta http-equiv="content-security-policy" content="script-src *\u001b[31m">'),
  })
  const { stdout } = await strongroom(['doctor', server.origin])
  await server.close()
  assert.match(stdout, /script-src/)
  assert.doesNotMatch(stdout, /\u001b/)
})

// claim: package-6
test('sends few requests, no token, and counts them', async () => {
  const { site, api, provider } = deployment
  const file = await configFile(deployment.config)
  site.requests.length = 0
  api.clear()
  const entries = () => provider.ledger.requests?.length ?? 0
  const before = entries()
  const { requests } = await doctor(site.origin, '--config', file)
  assert.ok(requests >= 10 && requests <= 20, `${requests} requests`)
  assert.ok(
    site.requests.length + api.requests.length + api.preflights.length + entries() - before <= requests,
  )
  for (const { headers } of [...api.requests, ...api.preflights]) {
    assert.equal(headers.authorization, undefined)
    assert.equal(headers.cookie, undefined)
  }
})

// claim: package-6
test('a redirect of the page is shown and not followed', async () => {
  let count = 0
  const server = await listen({
    handler: (request, response) => {
      count++
      response.writeHead(302, { Location: "/start';x" }).end()
    },
  })
  const { by, status } = await doctor(server.origin)
  await server.close()
  assert.equal(status, 1)
  assert.equal(by['page.found'].seen, `302, a redirect to ${server.origin}/start';x, which was not followed`)
  assert.equal(by['page.found'].fix, `npx strongroom doctor '${server.origin}/start%27;x'`)
  assert.equal(count, 1)
})

test('a server that does not respond costs one time limit', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { Requests } = await load('doctor/requests.ts')
  const server = await listen({ handler: () => {} })
  const own = new Requests(true)
  const [{ by, requests }, first] = await Promise.all([doctor(server.origin), own.send(server.origin)])
  const second = await own.send(`${server.origin}/again`)
  await server.close()
  assert.match(by['page.found'].seen, /no complete response within 10 s/)
  assert.equal(requests, 1)
  assert.match(first.failure, /no complete response within 10 s/)
  assert.match(second.failure, /not sent, because .* has not responded before/)
  assert.equal(own.count, 1)
})

test('a body that is too long is cut', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { Requests } = await load('doctor/requests.ts')
  const server = await listen({
    handler: (request, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65536)));
      }
      response.on('drain', more)
      more()
    },
  })
  const { status, body, isPartial } = await new Requests(true).send(server.origin)
  await server.close()
  assert.equal(status, 200)
  assert.ok(body.length >= 1024 * 1024 && body.length < 1024 * 1024 + 65537, `${body.length} bytes`)
  assert.equal(isPartial, true)
})

test('each line that can be wrong has a deployment that is broken in this way', async () => {
  const folder = new URL('../../pkg/src/doctor/', import.meta.url)
  const sources = (await readdir(folder)).filter((name) => name.endsWith('.ts'))
  const code = (await Promise.all(sources.map((name) => readFile(new URL(name, folder), 'utf8')))).join('\n')
  const here = await readdir(new URL('.', import.meta.url))
  const files = here.filter((name) => name.startsWith('doctor'))
  const tests = (
    await Promise.all(files.map((name) => readFile(new URL(name, import.meta.url), 'utf8')))
  ).join('\n')
  const named = [...code.matchAll(/['`](config|page|vault|worker|provider|handler)\.([a-z][a-z\d-]*)['`]/g)]
  const ofApis = [...code.matchAll(/`\$\{id\}\.([a-z-]+)`/g)]
  const ids = new Set(
    [...named.map(([, group, name]) => [group, name]), ...ofApis.map(([, name]) => ['api.0', name])].map(
      (id) => id.join('.'),
    ),
  )
  assert.ok(ids.size > 60, `${ids.size} lines`)
  const missing = [...ids].filter((id) => {
    const name = id.replace(/^[\w]+\.(0\.)?/, '')
    return !tests.includes(`'${id}'`) && !tests.includes(`'${name}'`)
  })
  assert.deepEqual(missing, [])
})

// claim: package-6
test('a configuration cannot send the doctor to private addresses of others', async () => {
  const { load } = await import('../support/page_module.mjs')
  const { isPrivateAddress, isPrivateUrl, Requests } = await load('doctor/requests.ts')
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '192.168.0.1',
    '172.31.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fd00::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
  ]) {
    assert.ok(isPrivateAddress(address), address)
  }
  for (const address of ['93.184.216.34', '172.32.0.1', '2606:2800:220:1::1', '::ffff:93.184.216.34']) {
    assert.ok(!isPrivateAddress(address), address)
  }
  for (const url of [
    'http://localhost:3000',
    'http://app.localhost',
    'http://127.1',
    'http://[::1]',
    'http://[::ffff:10.0.0.1]',
    'http://0x7f000001',
  ]) {
    assert.ok(isPrivateUrl(new URL(url)), url)
  }
  assert.ok(!isPrivateUrl(new URL('https://localhost.example.com')))
  const { origin, port } = deployment.site
  const requests = new Requests(false)
  for (const url of [origin, `http://127.0.0.1:${port}`, `http://[::ffff:127.0.0.1]:${port}`]) {
    const { status, failure } = await requests.send(url)
    assert.equal(status, 0, url)
    assert.match(failure, /has the private address .*--allow-private/, url)
  }
  assert.equal((await new Requests(true).send(origin)).status, 200, 'a control')
})
