// Tests of the tarball: its content, its behavior outside a browser, and its types.
import assert from 'node:assert/strict'
import { build, transform } from 'esbuild'
import { readFile, writeFile } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { before, test } from 'node:test'
import { promisify } from 'node:util'
import webpack from 'webpack'
import { install, node, pack, root } from './tarball.mjs'

const run = promisify(execFile)

let files, project, installed, manifest

before(async () => {
  const tarball = await pack()
  files = tarball.files
  project = await install('types', tarball.path)
  installed = `${project}/node_modules/strongroom`
  manifest = JSON.parse(await read('package.json'))
})

const read = (path) => readFile(`${installed}/${path}`, 'utf8')

test('contains only the build, the readme and the licenses', () => {
  const expected = [
    /^dist\/((edge|doctor|inspector|headers)\/)?[\w-]+\.js(\.map)?$/,
    /^dist\/edge\.(workerd|light)\.js(\.map)?$/,
    /^dist\/(page|callback|worker|media|vault-origin|extension|inspector|protocol|generated|headers|bindings|testing|edge)\/([\w-]+\/)?[\w.-]+\.d\.ts$/,
    /^dist\/strongroom(_edge)?_bg\.wasm$/,
    /^(README\.md|llms\.txt|LICENSE-(MIT|APACHE)|docs\/[\w-]+\.md|skills\/(add|move)-(to-)?strongroom\/SKILL\.md)$/,
  ]
  const others = files.filter((path) => !expected.some((pattern) => pattern.test(path)))
  assert.deepEqual(others, ['package.json'])
  const skills = ['skills/add-strongroom/SKILL.md', 'skills/move-to-strongroom/SKILL.md']
  const texts = [...skills, 'README.md', 'llms.txt', 'LICENSE-MIT', 'LICENSE-APACHE', 'docs/browsers.md']
  const modules = ['dist/strongroom_edge_bg.wasm', 'dist/strongroom_bg.wasm']
  for (const path of [...texts, ...modules]) {
    assert.ok(files.includes(path), `${path} is missing`)
  }
})

test('its readme has the command that installs it, and nothing about a clone', async () => {
  const text = await read('README.md')
  assert.match(text, /\n## Install\n\n```sh\nnpm i strongroom\n```\n\n## Use it\n/)
  assert.doesNotMatch(text, /<!--|cargo xtask build/)
})

test('no document has text of the site', async () => {
  for (const file of files.filter((path) => path.endsWith('.md')))
    assert.doesNotMatch(await read(file), /only on the site|\/playground\/|^<!-- end/m, file)
})

test('contains the targets of its links', async () => {
  const links = []
  for (const file of files.filter((path) => /\.md$|^llms\.txt$/.test(path))) {
    for (const [, path] of (await read(file)).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
      links.push(join(dirname(file), path))
    }
  }
  assert.ok(links.includes('docs/edge.md') && links.includes('dist/edge/config.d.ts'), links.join())
  assert.deepEqual(
    links.filter((path) => !files.includes(path)),
    [],
  )
})

// claim: package-1
test('has no dependencies and no install scripts', () => {
  const unwanted = Object.keys(manifest).filter((key) => /dependencies$|^scripts$|^bin$/i.test(key))
  // npm links a program, and runs it only when someone types its name. It is a check of deployments: docs/doctor.md.
  assert.deepEqual(unwanted, ['bin', 'peerDependencies'])
  assert.deepEqual(manifest.bin, { strongroom: 'dist/doctor/index.js' })
  const { peerDependencies, peerDependenciesMeta } = manifest
  for (const name of Object.keys(peerDependencies)) {
    assert.deepEqual(peerDependenciesMeta[name], { optional: true }, name)
  }
})

test('has one program, which npm links', async () => {
  const program = await read('dist/doctor/index.js')
  assert.match(program, /^#!\/usr\/bin\/env node\n/)
  const usage = await run(`${project}/node_modules/.bin/strongroom`, ['--help'])
  assert.match(usage.stdout, /^strongroom doctor URL/)
})

test('has every file that its exports name', () => {
  const named = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? target : Object.values(target),
  )
  const missing = named.filter((path) => !files.includes(path.replace('./', '')))
  assert.ok(named.length > 6)
  assert.deepEqual(missing, [])
})

test('keeps the wasm out of the page, and out of strings', async () => {
  assert.doesNotMatch(await read('dist/index.js'), /WebAssembly\.|\.wasm|import\.meta|^import /m)
  // This is "\0asm", the start of a wasm module, in base64.
  const embedded = /AGFzbQ|data:application/
  // The size of the test double does not matter. The server's script has to survive a bundler.
  const allowed = ['dist/testing.js', 'dist/edge-module.js']
  for (const path of files.filter((path) => path.endsWith('.js') && !allowed.includes(path))) {
    assert.doesNotMatch(await read(path), embedded, path)
  }
  assert.match(await read('dist/edge-module.js'), embedded, 'the check itself')
})

test('has the server’s module twice with equal bytes', async () => {
  const { default: base64 } = await import(`${installed}/dist/edge-module.js`)
  const bytes = await readFile(`${installed}/dist/strongroom_edge_bg.wasm`)
  assert.ok(bytes.equals(Buffer.from(base64, 'base64')))
})

test('the handler has the same exports on every platform', async () => {
  const all = Object.keys(await import(`${installed}/dist/edge-common.js`))
  // The platforms' files pass it to the factories.
  const common = all.filter((name) => name !== 'watchProcess')
  const factories = { handlerFactory: 'createTokenHandler', tenantsFactory: 'tenants' }
  const expected = common.map((name) => factories[name] ?? name).sort()
  for (const entry of ['edge', 'edge.workerd', 'edge.light']) {
    const [, list] = /;export\{([^}]*)\}/.exec(await read(`dist/${entry}.js`))
    assert.deepEqual(
      list
        .split(',')
        .map((one) => one.split(' as ').at(-1))
        .sort(),
      expected,
      entry,
    )
  }
})

test('keeps the wasm URL where bundlers look for it', async () => {
  for (const entry of ['dist/worker.js', 'dist/standalone.js']) {
    const urls = (await read(entry)).match(/new URL\("[^"]*\.wasm",import\.meta\.url\)/g)
    // The standalone worker requests the module before it calls `vault()`.
    assert.deepEqual([...new Set(urls)], ['new URL("./strongroom_bg.wasm",import.meta.url)'], entry)
  }
})

test('bundlers keep the entries that an app only imports', async () => {
  const bundled = async (entry) => {
    const stdin = { contents: `import '${entry}'`, resolveDir: project }
    const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', write: false })
    return outputFiles[0].text
  }
  assert.match(await bundled('strongroom/inspector'), /customElements\.define/)
  assert.match(await bundled('strongroom/inspector/record'), /postMessage/)
  assert.doesNotMatch(await bundled('strongroom'), /\w/, 'a control')
})

test('a server that generates headers contains nothing that only a build needs', async () => {
  const used = 'securityHeaders, viteHeaders'
  await writeFile(`${project}/server.mjs`, `export { ${used} } from 'strongroom/headers'`)
  const stats = await promisify(webpack)({
    mode: 'development',
    target: 'node',
    context: project,
    entry: './server.mjs',
    output: { path: `${project}/server` },
  })
  const { errors, warnings, assets } = stats.toJson({
    all: false,
    errors: true,
    warnings: true,
    assets: true,
  })
  assert.deepEqual([errors, warnings], [[], []])
  assert.deepEqual(
    assets.map(({ name }) => name),
    ['main.js'],
  )
})

test('has no top-level await', async () => {
  const supported = { 'top-level-await': false }
  await assert.rejects(transform('await 0', { format: 'esm', supported }), 'the check itself')
  const onPage = [
    'index',
    'worker',
    'standalone',
    'escrow',
    'media',
    'vault-frame',
    'wasm-url',
    'messages',
    'inspector',
    'inspector/record',
    'extension',
  ]
  for (const entry of [...onPage, 'edge', 'edge-common', 'edge.workerd', 'edge.light', 'edge/node']) {
    await transform(await read(`dist/${entry}.js`), { format: 'esm', supported })
  }
})

for (const entry of [
  'strongroom',
  'strongroom/worker',
  'strongroom/standalone',
  'strongroom/escrow',
  'strongroom/media',
  'strongroom/vault-frame',
  'strongroom/extension',
  'strongroom/headers',
  'strongroom/wasm-url',
  'strongroom/messages',
  'strongroom/inspector',
  'strongroom/inspector/record',
  'strongroom/testing',
  'strongroom/edge',
  'strongroom/edge/node',
  'strongroom/edge/conformance',
  'strongroom/edge/testing',
  'strongroom/edge/postgres',
  'strongroom/edge/hono',
  'strongroom/edge/express',
  'strongroom/edge/fastify',
  'strongroom/edge/next',
  'strongroom/edge/sveltekit',
  'strongroom/edge/astro',
  'strongroom/edge/react-router',
  'strongroom/edge/tanstack-start',
  'strongroom/edge/h3',
]) {
  test(`importing ${entry} in Node has no effect`, async () => {
    const script = `
      const names = () => Reflect.ownKeys(globalThis).map(String)
      const effects = []
      for (const name of ['fetch', 'setTimeout', 'setInterval', 'addEventListener', 'postMessage']) {
        globalThis[name] = () => effects.push(name)
      }
      const before = names()
      const exports = Object.keys(await import('${entry}'))
      const added = names().filter((name) => !before.includes(name))
      process.stdout.write(JSON.stringify({ exports: exports.length > 0, effects, added }))`
    const { stdout, stderr } = await node(project, '--input-type=module', '--eval', script)
    // These files are only run.
    const exports = !/standalone|record/.test(entry)
    assert.deepEqual(JSON.parse(stdout), { exports, effects: [], added: [] })
    assert.equal(stderr, '')
  })
}

test('browser and worker functions throw a StrongroomError in Node', async () => {
  const script = `
    const { connect, connectFrame, StrongroomError } = await import('strongroom')
    const { vault, StrongroomError: OfWorker } = await import('strongroom/worker')
    const said = []
    const note = (kind) => (error) => said.push([error instanceof kind, error.code, error.message])
    await connect(() => { throw new Error('it was called') }).catch(note(StrongroomError))
    await connect('/auth').catch(note(StrongroomError))
    await connectFrame('https://vault.example/').catch(note(StrongroomError))
    try { vault({}) } catch (error) { note(OfWorker)(error) }
    process.stdout.write(JSON.stringify(said))`
  const { stdout } = await node(project, '--input-type=module', '--eval', script)
  const said = JSON.parse(stdout)
  assert.equal(said.length, 4)
  for (const [isOne, code, message] of said) {
    assert.ok(isOne, message)
    assert.equal(code, 'unsupported')
    assert.match(message, /needs a browser|outside a worker/)
  }
})

const resolutions = [
  ['bundler', 'esnext'],
  ['nodenext', 'nodenext'],
]
for (const part of ['page', 'worker']) {
  for (const [moduleResolution, module] of resolutions) {
    test(`its types serve a strict ${part} (moduleResolution ${moduleResolution})`, async () => {
      await tsc(`tsconfig.${part}.json`, '--moduleResolution', moduleResolution, '--module', module)
    })
  }
}

test('the types of the bindings serve a strict app', () => tsc('tsconfig.bindings.json'))

test('an app declares its claims once, and other names are errors', () => tsc('tsconfig.claims.json'))

const GUIDE = 'docs/vault-origin.md'

const DOCUMENTED_CODE = {
  'recipe for the demo': {
    in: 'docs/testing-your-app.md',
    lib: 'worker',
    has: "clientId: 'my-app'",
    before: "import { vault } from 'strongroom/worker'",
  },
  worker: { lib: 'worker', has: "from 'strongroom/worker'", before: '' },
  page: { lib: 'page', has: "from 'strongroom'", before: '' },
  'worker of the vault’s origin': { in: GUIDE, lib: 'worker', has: 'vault({', before: '' },
  'frame of the vault’s origin': { in: GUIDE, lib: 'page', has: 'vaultFrame({', before: '' },
  'callback page of the vault’s origin': { in: GUIDE, lib: 'page', has: 'vaultCallback({', before: '' },
  'sign-in button': { in: 'docs/login.md', lib: 'page', has: "element('sign-in').onclick", before: '' },
  'page with a vault on an origin of its own': {
    in: GUIDE,
    lib: 'page',
    has: 'createAuth({ frame',
    before: '',
  },
}

/** The module that the documents import as `./auth`. */
const AUTH = `import { createAuth } from 'strongroom'\nexport const auth = createAuth('/auth')\n`

for (const [part, { in: document = 'README.md', lib, has, before }] of Object.entries(DOCUMENTED_CODE)) {
  test(`${document}: the ${part} compiles`, async () => {
    const blocks = (await readFile(`${root}${document}`, 'utf8')).matchAll(/```ts\n(.*?)```/gs)
    const [, code] = [...blocks].find(([, text]) => text.includes(has))
    await writeFile(`${project}/readme.${lib}.ts`, `${before}\n${code}`)
    await writeFile(`${project}/auth.ts`, AUTH)
    const config = { extends: `./tsconfig.${lib}.json`, files: [`readme.${lib}.ts`] }
    await writeFile(`${project}/tsconfig.readme.json`, JSON.stringify(config))
    await tsc('tsconfig.readme.json', '--moduleResolution', 'bundler', '--module', 'esnext')
  })
}

test('README.md: the calls compile, and the name in components is a string or missing', async () => {
  const text = await readFile(`${root}README.md`, 'utf8')
  const [, code, name] = /```ts\n(const response = .*?in components: ([^\n]*)\n.*?)```/s.exec(text)
  const imports = `import { auth } from './auth'\nimport { useSession } from 'strongroom/react'\n`
  const component = `export const Name = (): string | undefined => ${name}\n`
  await writeFile(`${project}/readme.react.ts`, imports + code + component)
  await writeFile(`${project}/auth.ts`, AUTH)
  const config = { extends: './tsconfig.bindings.json', files: ['readme.react.ts'] }
  await writeFile(`${project}/tsconfig.readme.json`, JSON.stringify(config))
  await tsc('tsconfig.readme.json')
})

/** The expression in a document that reads the protocol in a configuration. */
async function documentedProtocol(document) {
  const text = await readFile(`${root}${document}`, 'utf8')
  return text.match(/\(globalThis as .*?\.location\?\.protocol/)?.[0]
}

/** Compiles a configuration as `vite.config.ts` of a new app does, without the types of the DOM. */
async function compileInViteConfig(protocol) {
  const guide = await readFile(`${root}docs/headers.md`, 'utf8')
  const [, code] = guide.match(/```ts\n(\/\/ auth\.config\.ts\n.*?)```/s)
  const session = `  session: { persist: ${protocol} === 'https:' ? 'memory' : 'sealed' },\n`
  await writeFile(`${project}/auth.config.ts`, code.replace(/^ {2}session: .*\n/m, session))
  await writeFile(
    `${project}/vite.config.ts`,
    "import { config } from './auth.config.ts'\nexport default config\n",
  )
  const compilerOptions = {
    target: 'es2023',
    lib: ['ES2023'],
    types: [],
    module: 'esnext',
    moduleResolution: 'bundler',
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    strict: true,
    noEmit: true,
  }
  await writeFile(
    `${project}/tsconfig.node.json`,
    JSON.stringify({ compilerOptions, files: ['vite.config.ts'] }),
  )
  await tsc('tsconfig.node.json')
}

for (const document of ['docs/debugging.md', 'docs/testing-your-app.md']) {
  test(`${document}: the protocol compiles where vite.config.ts imports it`, async () => {
    await compileInViteConfig(await documentedProtocol(document))
  })
}

test('a control: vite.config.ts has no types of the DOM', async () => {
  for (const protocol of ['location.protocol', 'globalThis.location?.protocol'])
    await assert.rejects(compileInViteConfig(protocol), /auth\.config\.ts.* error TS/)
})

async function tsc(config, ...options) {
  try {
    await node(project, `${root}node_modules/typescript/bin/tsc`, '--project', config, ...options)
  } catch (error) {
    assert.fail(error.stdout || error.message)
  }
}
