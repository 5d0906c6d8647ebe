// Every TypeScript snippet in docs/edge.md compiles with `strict`.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = `${root}target/edge-snippets`

/** Declares names that a snippet may use because another snippet of the document defines them. */
const AROUND = `
import type { TokenHandler as Handler } from 'strongroom/edge'
declare global {
  type TokenHandler = Handler
  const handler: Handler
  const myApp: (request: Request, env: unknown, context: unknown) => Promise<Response>
}
`

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

const snippets = async () => {
  const guide = await readFile(`${root}docs/edge.md`, 'utf8')
  return [...guide.matchAll(/```ts\n(.*?)```/gs)].map(({ 1: code, index }) => ({
    line: guide.slice(0, index).split('\n').length,
    code,
  }))
}

/** Resolves with the compiler's messages for these files, or with an empty string if the files compile. */
async function compiled(files) {
  const config = { ...TSCONFIG, files: ['around.d.ts', ...files] }
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
})
after(() => rm(folder, { recursive: true, force: true }))

test('every snippet of docs/edge.md compiles under strict', async () => {
  const found = await snippets()
  assert.ok(found.length >= 6, `${found.length}`)
  const files = found.map(({ line }) => `line-${line}.ts`)
  await Promise.all(found.map(({ code }, i) => writeFile(`${folder}/${files[i]}`, `${code}\nexport {}\n`)))
  assert.equal(await compiled(files), '')
})

test('a snippet with a mistake does not compile', async () => {
  await writeFile(
    `${folder}/wrong.ts`,
    'export const serve = (request, env) => handler.fetch(request, env)\n',
  )
  assert.match(await compiled(['wrong.ts']), /wrong\.ts\(1,\d+\): error TS7006/)
})
