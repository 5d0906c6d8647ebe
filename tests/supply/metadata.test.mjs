// `strongroom metadata`: the provider's metadata in a file of the app.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as prettier from 'prettier'
import { configFile, startDeployment, strongroom } from '../support/doctor.mjs'
import { listen } from '../support/listen.mjs'
import { load } from '../support/page_module.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))

let deployment, fake
before(async () => {
  deployment = await startDeployment()
  fake = await startFake()
})
after(() => Promise.all([deployment.close(), fake.close()]))

/** What the fake provider sends for each path, which each test may change. */
let responses

/** Starts a server whose documents each test decides. */
async function startFake() {
  const server = await listen({
    handler: ({ url }, response) => {
      const { status = 200, headers = {}, body = '' } = responses[url] ?? { status: 404 }
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    },
  })
  return server
}

const OPENID = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

const documentOf = (issuer) => ({
  issuer,
  authorization_endpoint: `${issuer}/auth`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/keys`,
})

/** Lets the fake provider send its document with these changes, and returns the document. */
const publish = (changes = {}) => {
  const body = { ...documentOf(fake.origin), ...changes }
  responses = { [OPENID]: { body } }
  return body
}

const metadata = (...args) => strongroom(['metadata', ...args])

/** Resolves with a path at which there is no file. */
const newFile = async (name = 'auth.metadata.mjs') => {
  const path = await configFile('', name)
  await rm(path)
  return path
}

/** Resolves with the metadata that a module exports. */
const exported = async (path) => {
  const text = await readFile(path, 'utf8')
  const { metadata } = await import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`)
  return metadata
}

const refuses = async (args, message) => {
  const { status, stdout, stderr } = await metadata(...args)
  assert.equal(status, 2, stdout)
  assert.equal(stdout, '')
  assert.ok(stderr.includes(message), stderr)
  assert.doesNotMatch(stderr, /the program itself has failed/)
}

test('writes the metadata of the real provider, all endpoints and no algorithm', async () => {
  const { issuer } = deployment.provider
  const path = await newFile()
  const { status, stdout } = await metadata(issuer, '--out', path)
  assert.equal(status, 0)
  assert.match(
    stdout,
    /written to .*\n {2}In the configuration: import \{ metadata \} from '.*auth\.metadata\.mjs'/,
  )
  const { [issuer]: pinned, ...others } = await exported(path)
  assert.deepEqual(others, {})
  const live = await (await fetch(issuer + OPENID)).json()
  const isPinned = ([name]) =>
    /_endpoint$|^(issuer|jwks_uri|code_challenge_methods_supported|mtls_endpoint_aliases|require_pushed_authorization_requests|authorization_response_iss_parameter_supported)$/.test(
      name,
    )
  const { at, ...members } = pinned
  assert.deepEqual(members, Object.fromEntries(Object.entries(live).filter(isPinned)))
  assert.match(at, /^\d{4}-\d\d-\d\d$/)
  assert.ok(live.id_token_signing_alg_values_supported, 'a control')
})

test('a second run for an issuer without changes leaves the file as it is', async () => {
  publish()
  const path = await newFile()
  await metadata(fake.origin, '--out', path)
  const earlier = (await readFile(path, 'utf8')).replace(/at: ".*"/, 'at: "2020-01-01"')
  await writeFile(path, earlier)
  const { status, stdout } = await metadata(fake.origin, '--out', path)
  assert.equal(status, 0)
  assert.match(stdout, /unchanged since 2020-01-01/)
  assert.equal(await readFile(path, 'utf8'), earlier)
})

test('a changed member is replaced, and everything else in the file stays', async () => {
  publish()
  const path = await newFile()
  const other = 'https://a.example.com'
  await writeFile(
    path,
    `// mine\nexport const before = 1\nexport const metadata = {\n    // a comment\n    '${other}': { at: '2020-01-01', issuer: '${other}', b: 'it\\'s "c"' }\n}\nexport const after = { a: 2 }\n`,
  )
  await metadata(fake.origin, '--out', path)
  publish({ token_endpoint: `${fake.origin}/v2/token`, revocation_endpoint: `${fake.origin}/revoke` })
  const { stdout } = await metadata(fake.origin, '--out', path)
  assert.match(stdout, /2 members have changed since \d.*, written to/)
  assert.match(stdout, /token_endpoint\n {4}pinned {2}".*\/token"\n {4}now {5}".*\/v2\/token"/)
  const text = await readFile(path, 'utf8')
  assert.match(text, /^\/\/ mine\nexport const before = 1\nexport const metadata = \{\n {4}\/\/ a comment\n/)
  assert.match(text, /\}\nexport const after = \{ a: 2 \}\n$/)
  const all = await exported(path)
  assert.deepEqual(all[other], { at: '2020-01-01', issuer: other, b: 'it\'s "c"' })
  assert.equal(all[fake.origin].token_endpoint, `${fake.origin}/v2/token`)
  assert.equal(all[fake.origin].revocation_endpoint, `${fake.origin}/revoke`)
})

test('issuers are in the order of their names, whichever comes first', async () => {
  const second = await startFake()
  try {
    responses = {}
    const [a, b] = [fake.origin, second.origin].sort()
    const texts = []
    for (const order of [
      [a, b],
      [b, a],
    ]) {
      const path = await newFile()
      for (const issuer of order) {
        responses = { [OPENID]: { body: documentOf(issuer) } }
        assert.equal((await metadata(issuer, '--out', path)).status, 0)
      }
      texts.push(await readFile(path, 'utf8'))
    }
    assert.equal(texts[0], texts[1])
    assert.ok(texts[0].indexOf(`"${a}": {`) < texts[0].indexOf(`"${b}": {`))
  } finally {
    await second.close()
  }
})

test('Prettier leaves the file as it is', async () => {
  publish({
    mtls_endpoint_aliases: {
      token_endpoint: `${fake.origin}/a/very/long/path/of/an/endpoint/for/certificates`,
    },
    code_challenge_methods_supported: ['S256', 'plain'],
    'some.extension_endpoint': `${fake.origin}/some`,
  })
  for (const name of ['auth.metadata.ts', 'auth.metadata.mjs']) {
    const path = await newFile(name)
    await metadata(fake.origin, '--out', path)
    const text = await readFile(path, 'utf8')
    assert.equal(await prettier.format(text, { filepath: path }), text)
    const singles = await prettier.format(text, { filepath: path, singleQuote: true, semi: false })
    await writeFile(path, singles)
    assert.match((await metadata('--out', path)).stdout, /unchanged/, 'another format is read')
    const replaced = singles.replace("/token'", "/old'")
    await writeFile(path, replaced)
    await metadata('--out', path)
    assert.equal(await readFile(path, 'utf8'), singles, 'and kept')
  }
})

test('TypeScript accepts the file as the option, in its strictest settings', async () => {
  publish({
    mtls_endpoint_aliases: { token_endpoint: `${fake.origin}/m` },
    code_challenge_methods_supported: ['S256'],
  })
  const path = await newFile('auth.metadata.ts')
  await metadata(fake.origin, '--out', path)
  const config = await configFile(
    `import type { VaultConfig } from 'strongroom/worker'
import { metadata } from './${basename(path)}'
export const config: VaultConfig = { issuer: 'a', pinned: metadata['a'], clientId: '', redirectUri: '', scope: '', apis: [] }
`,
    'auth.config.ts',
  )
  const compilerOptions = {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    allowImportingTsExtensions: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    types: [],
    paths: { 'strongroom/worker': [`${root}pkg/dist/worker/index`] },
  }
  const project = await configFile({ compilerOptions, files: [config] }, 'tsconfig.json')
  const compile = () => run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', project])
  await compile()
  await writeFile(path, (await readFile(path, 'utf8')).replace(/ {4}token_endpoint:.*\n/, ''))
  await assert.rejects(compile(), ({ stdout }) => /token_endpoint/.test(stdout), 'a control')
})

test('--check compares all issuers of a file, and writes nothing', async () => {
  publish()
  const path = await newFile()
  await metadata(fake.origin, '--out', path)
  const text = await readFile(path, 'utf8')
  assert.equal((await metadata('--out', path, '--check')).status, 0)
  publish({ token_endpoint: `${fake.origin}/v2` })
  const { status, stdout } = await metadata('--out', path, '--check')
  assert.equal(status, 1)
  assert.match(stdout, /1 member has changed since .*\n {2}token_endpoint\n/)
  assert.ok(stdout.endsWith(`\nTo write it: npx strongroom metadata --out ${path}\n`), stdout)
  assert.equal(await readFile(path, 'utf8'), text)
  publish({ jwks_uri: undefined, revocation_endpoint: `${fake.origin}/r` })
  assert.match((await metadata('--out', path, '--check')).stdout, /jwks_uri\n .*\n {4}now {5}–\n/)
})

test('an issuer that cannot be read does not keep the others from being compared', async () => {
  publish()
  const path = await newFile()
  await metadata(fake.origin, '--out', path)
  const gone = 'http://127.0.0.1:1'
  const text = (await readFile(path, 'utf8')).replace(
    '= {',
    `= {\n  '${gone}': { at: '2026-01-31', issuer: '${gone}' },`,
  )
  await writeFile(path, text)
  publish({ token_endpoint: `${fake.origin}/v2` })
  const { status, stdout, stderr } = await metadata('--out', path, '--check')
  assert.equal(status, 2)
  assert.match(stdout + stderr, /token_endpoint/)
  assert.match(stdout + stderr, /the metadata of http:\/\/127\.0\.0\.1:1 cannot be read/)
})

test('--check with --config compares the pinned metadata of a module', async () => {
  publish()
  const config = { ...deployment.config, issuer: fake.origin }
  const check = async (pinned) => {
    const path = await configFile(
      `export const config = ${JSON.stringify({ ...config, pinned })}`,
      'auth.config.mjs',
    )
    return metadata('--config', path, '--check')
  }
  assert.equal((await check({ at: '2026-01-01', ...documentOf(fake.origin) })).status, 0)
  const { status, stdout } = await check()
  assert.equal(status, 1)
  assert.match(stdout, /not pinned\n\nTo write it: npx strongroom metadata --config .* --out FILE\n/)
})

test('strongroom.json gets the member `pinned`, and keeps everything else', async () => {
  const document = publish()
  const path = await configFile(
    `{\n\t"issuer": ${JSON.stringify(fake.origin)},\n\t"clientTolerance": -1.5e3, "apis": [{ "url": "/v1/" }]\n}\n`,
  )
  const before = await readFile(path, 'utf8')
  assert.equal((await metadata('--config', path, '--check')).status, 1)
  assert.equal((await metadata('--config', path)).status, 0)
  const text = await readFile(path, 'utf8')
  assert.ok(text.startsWith(before.slice(0, before.lastIndexOf('\n}'))), text)
  const { pinned, ...rest } = JSON.parse(text)
  assert.deepEqual(rest, JSON.parse(before))
  const { at, ...members } = pinned
  assert.deepEqual(members, document)
  assert.equal((await metadata('--out', path, '--check')).status, 0)
  publish({ token_endpoint: `${fake.origin}/v2` })
  assert.equal((await metadata('--out', path)).status, 0)
  assert.equal(JSON.parse(await readFile(path, 'utf8')).pinned.token_endpoint, `${fake.origin}/v2`)
})

test('JSON on one line stays on one line', async () => {
  publish()
  const path = await configFile({ issuer: fake.origin, apis: [] })
  await metadata('--out', path)
  const text = await readFile(path, 'utf8')
  assert.equal(text.split('\n').length, 1)
  assert.equal(JSON.parse(text).pinned.issuer, fake.origin)
})

test('finds the document where RFC 8414 puts it', async () => {
  const issuer = `${fake.origin}/tenant`
  for (const path of [`${OAUTH}/tenant`, `${OPENID}/tenant`, `/tenant${OAUTH}`]) {
    responses = { [path]: { body: documentOf(issuer) } }
    const out = await newFile()
    assert.equal((await metadata(issuer, '--out', out)).status, 0, path)
  }
})

test('a provider without OpenID Connect has no keys', async () => {
  publish({ jwks_uri: undefined })
  const path = await newFile()
  assert.equal((await metadata(fake.origin, '--out', path)).status, 0)
  assert.equal('jwks_uri' in (await exported(path))[fake.origin], false)
})

for (const [args, message] of [
  [[], '--out is missing: name the file, such as --out auth.metadata.ts'],
  [['https://id.example.com'], '--out is missing'],
  [['https://id.example.com', 'more', '--out', 'a.ts'], "'more' comes after the issuer"],
  [['id.example.com', '--out', 'a.ts'], "'id.example.com' is not an http or https URL"],
  [['__proto__', '--out', 'a.ts'], "'__proto__' is not an http or https URL"],
  [['http://id.example.com', '--out', 'a.ts'], 'must be https, or http on loopback'],
  [['https://id.example.com/?a', '--out', 'a.ts'], 'must have no query'],
  [['https://user:secret@id.example.com', '--out', 'a.ts'], 'must not contain a user or password'],
  [['https://login.example.com/{tenantid}/v2.0', '--out', 'a.ts'], 'pass the issuer of your tenant'],
  [
    ['https://id.example.com/.well-known/openid-configuration', '--out', 'a.ts'],
    'The issuer is probably https://id.example.com, or',
  ],
  [['https://id.example.com', '--out', 'a.txt'], 'must end in .ts, .mts, .js, .mjs or .json'],
  [['https://id.example.com', '--out'], '--out needs a value'],
  [['--out', '/no/such.ts'], 'the issuer is missing'],
  [['--out', '/no/such.json'], '/no/such.json does not exist'],
  [['--chek'], "there is no option '--chek'"],
]) {
  test(`the command line ${['metadata', ...args].join(' ')} ends with status 2`, async () => {
    await refuses(args, message)
  })
}

for (const [name, content, message] of [
  ['auth.config.mjs', 'export const config = {}\n', 'so this command has not written it: name another file'],
  ['a.mjs', 'export const metadata = { ...others }\n', 'has metadata that cannot be read: line 1'],
  [
    'b.mjs',
    'export const metadata = {\n  a: process.exit(),\n}\n',
    'has metadata that cannot be read: line 2',
  ],
  ['c.mjs', `export const metadata = ${'{a:'.repeat(100)}`, 'has metadata that cannot be read'],
  ['d.json', '[]', 'is not a configuration in JSON'],
  ['e.json', '{ "issuer": 1 }', 'has no issuer'],
  [
    'f.json',
    '{ "issuer": "https://other.example.com" }',
    'has the issuer https://other.example.com, and not',
  ],
]) {
  test(`the file ${name} with ${content.slice(0, 40).trim()} is not overwritten`, async () => {
    publish()
    const path = await configFile(content, name)
    await refuses([fake.origin, '--out', path], message)
    assert.equal(await readFile(path, 'utf8'), content)
  })
}

test('a token handler has no pinned metadata', async () => {
  const path = await configFile({ issuer: fake.origin, client: {}, routes: [] })
  await refuses(['--config', path], "is a token handler's configuration")
})

test('an issuer other than that of the configuration is refused', async () => {
  const path = await configFile({ ...deployment.config, issuer: 'https://other.example.com' })
  await refuses([fake.origin, '--config', path], 'has the issuer https://other.example.com, and not')
})

/** Documents that no vault would accept, with the reason. */
const HOSTILE = {
  'HTML in place of a document': [
    () => (responses = { [OPENID]: { headers: { 'Content-Type': 'text/html' }, body: '<p>Welcome' } }),
    '200 text/html, which is not a JSON object',
  ],
  'no document': [() => (responses = {}), '404'],
  'a redirect': [
    () => (responses = { [OPENID]: { status: 302, headers: { Location: `${fake.origin}/elsewhere` } } }),
    'a redirect to',
  ],
  'a document of 129 KiB': [() => publish({ a: 'x'.repeat(129 * 1024) }), 'is longer than 128 KiB'],
  'a document of 100 MB': [() => publish({ a: 'x'.repeat(100e6) }), 'is longer than 128 KiB'],
  'another issuer': [
    () => publish({ issuer: 'https://other.example.com' }),
    'names the issuer https://other.example.com, not',
  ],
  'an issuer with a slash more': [
    () => publish({ issuer: `${fake.origin}/` }),
    'If it is your provider, use that',
  ],
  'an issuer with a placeholder': [
    () => publish({ issuer: 'https://login.example.com/{tenantid}/v2.0' }),
    'whose metadata cannot be pinned: pass the issuer of your tenant',
  ],
  'no issuer': [() => publish({ issuer: undefined }), 'has no issuer'],
  'an issuer that is a number': [() => publish({ issuer: 1 }), 'has no issuer'],
  'no token endpoint': [() => publish({ token_endpoint: undefined }), 'token_endpoint'],
  'a token endpoint by http': [
    () => publish({ token_endpoint: 'http://id.example.com/token' }),
    'must be an absolute https URL',
  ],
  'a token endpoint with a quote and a newline': [
    () => publish({ token_endpoint: `${fake.origin}/"\n}; alert(1)//` }),
    'token_endpoint is',
  ],
  'keys of a wrong type': [() => publish({ jwks_uri: [] }), 'jwks_uri'],
  'no S256': [() => publish({ code_challenge_methods_supported: ['plain'] }), "does not contain 'S256'"],
  'a thousand endpoints': [
    () =>
      publish(
        Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`a${i}_endpoint`, `${fake.origin}/${i}`])),
      ),
    'too many to pin',
  ],
}
for (const [what, [arrange, message]] of Object.entries(HOSTILE)) {
  test(`nothing is written for ${what}`, async () => {
    arrange()
    const path = await newFile()
    await refuses([fake.origin, '--out', path], message)
    await assert.rejects(readFile(path), { code: 'ENOENT' })
  })
}

test('an https issuer cannot use endpoints by http', async () => {
  const { readLive, loadJudge } = await liveModule()
  const issuer = 'https://id.example.com'
  const readDocument = (changes) =>
    readLive(
      issuer,
      {
        send: async (url) => ({
          url,
          status: 200,
          body: JSON.stringify({ ...documentOf(issuer), ...changes }),
        }),
      },
      judge,
    )
  const judge = await loadJudge()
  await assert.rejects(
    readDocument({ token_endpoint: 'http://127.0.0.1/token' }),
    /would refuse .*token_endpoint is 'http:/,
  )
  const odd = {
    revocation_endpoint: 'http://127.0.0.1/revoke',
    introspection_endpoint: '',
    a_endpoint: 'http://a',
  }
  const { members, ignored } = await readDocument(odd)
  assert.deepEqual(ignored, ['revocation_endpoint'])
  assert.deepEqual(members, { ...documentOf(issuer), ...odd }, 'pages must not request them either')
})

/** Loads the reader of live metadata, with the core in the folder above. */
const liveModule = async () => {
  const dist = new URL('../../pkg/dist/', import.meta.url)
  const { readLive } = await load('doctor/metadata/live.ts')
  const { initSync, start } = await import('../../pkg/glue/strongroom.js')
  const loadJudge = async () => {
    initSync({ module: await WebAssembly.compile(await readFile(new URL('strongroom_bg.wasm', dist))) })
    const nothing = () => {}
    return (config, base) => {
      const scope = { performance, addEventListener: nothing, location: new URL(base) }
      return (
        start(JSON.stringify(config), base, '', scope, nothing, { open: nothing, hear: nothing }) ?? undefined
      )
    }
  }
  return { readLive, loadJudge }
}

test('what a provider sends cannot become code or a prototype', async () => {
  const odd = {
    __proto___endpoint: `${fake.origin}/a`,
    '"]: alert(1), ["_endpoint': `${fake.origin}/b`,
    'a\n_endpoint': `${fake.origin}/c`,
    '\u2028_endpoint': `${fake.origin}/d'e`,
    '\u001b[31m_endpoint': `${fake.origin}/f`,
    constructor_endpoint: `${fake.origin}/$&\`\${1}`,
  }
  const aliases = JSON.parse(`{ "__proto__": { "x_endpoint": 1 }, "token_endpoint": "${fake.origin}/m" }`)
  responses = {
    [OPENID]: {
      body: JSON.stringify({ ...documentOf(fake.origin), ...odd, mtls_endpoint_aliases: aliases }).replace(
        '{',
        '{"__proto__":{"token_endpoint":"https://evil.example.com"},',
      ),
    },
  }
  for (const quote of ['"', "'"]) {
    const path = await newFile()
    const other = `${quote}https://a.example.com${quote}`
    await writeFile(path, `export const metadata = {\n  ${other}: { at: ${quote}1${quote} },\n}\n`)
    const { status, stdout } = await metadata(fake.origin, '--out', path)
    assert.equal(status, 0, stdout)
    assert.doesNotMatch(stdout, /\u001b/)
    const all = await exported(path)
    assert.deepEqual(Object.keys(all), ['https://a.example.com', fake.origin].sort())
    const { at, ...members } = all[fake.origin]
    assert.equal(Object.getPrototypeOf(all[fake.origin]), Object.prototype)
    assert.deepEqual(members, {
      ...documentOf(fake.origin),
      ...odd,
      mtls_endpoint_aliases: { token_endpoint: `${fake.origin}/m` },
    })
    assert.equal((await metadata(fake.origin, '--out', path, '--check')).status, 0)
  }
  const json = await configFile({ issuer: fake.origin })
  await metadata('--out', json)
  assert.equal(JSON.parse(await readFile(json, 'utf8')).pinned.constructor_endpoint, odd.constructor_endpoint)
})

test('the guide has every option', async () => {
  const { status, stdout } = await metadata('--help')
  assert.equal(status, 0)
  const guide = await readFile(new URL('../../docs/pinned-metadata.md', import.meta.url), 'utf8')
  for (const option of ['--out', '--config', '--check', '--user-agent', '--allow-private', '--help']) {
    assert.ok(stdout.includes(`\n  ${option} `), option)
    assert.ok(guide.includes(`\`${option}`), `docs/pinned-metadata.md lacks ${option}`)
  }
})
