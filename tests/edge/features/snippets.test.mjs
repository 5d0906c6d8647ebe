// Every TypeScript snippet of the token handler's guides compiles with `strict`.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const folder = `${root}target/edge-snippets`

/** Declares names that a snippet may use because another snippet of the document defines them. */
const AROUND = `
import type { Auth } from 'strongroom'
import type { TokenHandler as Handler, tenants } from 'strongroom/edge'
declare global {
  type TokenHandler = Handler
  const handler: Handler
  const accounts: ReturnType<typeof tenants>
  const slots: string[]
  const auth: Auth
  const myApp: (request: Request, env: unknown, context: unknown) => Promise<Response>
}
`

/** Declares a package that a snippet extends. */
const PACKAGES = "declare module 'fastify' { interface FastifyRequest {} }"

const TSCONFIG = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    lib: ['es2022', 'dom', 'dom.iterable'],
    types: ['node'],
    paths: {
      strongroom: [`${root}pkg/dist/page/index.d.ts`],
      'strongroom/edge': [`${root}pkg/dist/edge/index.d.ts`],
      'strongroom/edge/*': [
        `${root}pkg/dist/edge/adapters/*.d.ts`,
        `${root}pkg/dist/edge/coordinators/*.d.ts`,
      ],
      redis: [`${root}node_modules/@redis/client`],
    },
  },
}

const GUIDES = [
  'accounts',
  'edge',
  'edge-deploy',
  'edge-operate',
  'edge-page',
  'edge-reference',
  'edge-tenants',
  'server-code',
]

/** Resolves with the snippets, and for each the name of a file, which says where it stands. */
const snippets = async () => {
  const found = GUIDES.map(async (name) => {
    const guide = await readFile(`${root}docs/${name}.md`, 'utf8')
    return [...guide.matchAll(/```ts\n(.*?)```/gs)].map(({ 1: code, index }) => ({
      file: `${name}-line-${guide.slice(0, index).split('\n').length}.ts`,
      code,
    }))
  })
  return (await Promise.all(found)).flat()
}

/** Resolves with the compiler's messages for these files, or with an empty string if the files compile. */
async function compiled(files) {
  const config = { ...TSCONFIG, files: ['around.d.ts', 'packages.d.ts', ...files] }
  await writeFile(`${folder}/tsconfig.json`, JSON.stringify(config))
  const compiler = `${root}node_modules/typescript/bin/tsc`
  return run(process.execPath, [compiler, '--project', folder]).then(
    () => '',
    ({ stdout }) => stdout,
  )
}

before(async () => {
  await mkdir(folder, { recursive: true })
  await writeFile(`${folder}/around.d.ts`, AROUND)
  await writeFile(`${folder}/packages.d.ts`, PACKAGES)
})
after(() => rm(folder, { recursive: true, force: true }))

test('every snippet of the guides compiles under strict', async () => {
  const found = await snippets()
  assert.ok(found.length >= 6, `${found.length}`)
  await Promise.all(found.map(({ file, code }) => writeFile(`${folder}/${file}`, `${code}\nexport {}\n`)))
  assert.equal(await compiled(found.map(({ file }) => file)), '')
})

test('a snippet with a mistake does not compile', async () => {
  await writeFile(
    `${folder}/wrong.ts`,
    'export const serve = (request, env) => handler.fetch(request, env)\n',
  )
  assert.match(await compiled(['wrong.ts']), /wrong\.ts\(1,\d+\): error TS7006/)
})
