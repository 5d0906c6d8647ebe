// Checks that links in documents lead to a file and a heading, and that documents avoid the forbidden phrases.
import assert from 'node:assert/strict'
import { access, readdir, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { test } from 'node:test'
import { ROWS } from '../engines/groups.mjs'
import { documentedRows } from '../engines/table.mjs'
import { anchors } from '../support/markdown.mjs'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const exists = (path) =>
  access(new URL(path, root)).then(
    () => true,
    () => false,
  )

/** Resolves with the paths of the Markdown files in the root, in `docs/` and in `docs/providers/`. */
const documents = async () => {
  const markdown = async (folder) =>
    (await readdir(new URL(folder, root))).filter((name) => name.endsWith('.md')).map((name) => folder + name)
  const folders = await Promise.all(['./', 'docs/', 'docs/providers/'].map(markdown))
  return folders.flat().map((path) => posix.normalize(path))
}

/** Matches text that only the site shows, whose links the test of the site checks. */
const OF_THE_SITE = /^<!-- only on the site$.*?^-->$/gms

/** Removes code, which may contain any text, and the text of the site. */
const prose = (text) =>
  text
    .replace(OF_THE_SITE, '')
    .replace(/^```.*?^```/gms, '')
    .replace(/`[^`\n]*`/g, '`code`')

/** Resolves with the links of a document that lead to a missing file or heading. External links are not checked. */
const dead = async (path, text) => {
  const found = []
  for (const [, link] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue
    const [file, anchor] = link.split('#')
    const target = file ? posix.join(posix.dirname(path), file) : path
    if (!(await exists(target))) found.push(link)
    else if (anchor && !anchors(file ? await read(target) : text).includes(anchor)) found.push(link)
  }
  return found
}

/** The phrases that `xtask/src/measure/english.rs` reports in comments. */
const PHRASES = /\b(whoever|anew|octets?|under way|of which|of whom|is none|for ever)\b/gi

test('every link leads to a file and a heading', async () => {
  let count = 0
  for (const path of await documents()) {
    const text = await read(path)
    count += text.split('](').length - 1
    assert.deepEqual(await dead(path, text), [], path)
  }
  assert.ok(count > 100)
})

test('control: dead links are found', async () => {
  const text = '# A title\n[a](#a-title) [b](#b) [c](docs/none.md) [d](docs/edge.md#none) `[e](none)`'
  assert.deepEqual(await dead('README.md', text), ['#b', 'docs/none.md', 'docs/edge.md#none'])
})

/** Matches a command that installs the package from the registry. Text in a comment is for the package or the site. */
const INSTALLS = /(npm (i|install|add)|(pnpm|yarn|bun) add) strongroom\b/
const installs = (text) => INSTALLS.test(text.replace(/<!--.*?-->/gs, ''))

test('until the first release, no text installs another package of this name', async () => {
  const paths = [...(await documents()), 'examples/README.md', 'www/docs/front.mjs', 'pkg/assistants.mjs']
  for (const path of paths) assert.ok(!installs(await read(path)), path)
})

test('control: a command that installs the package is found', () => {
  assert.ok(installs('```sh\nnpm i strongroom\n```'))
  assert.ok(!installs('<!-- only in the package\n```sh\nnpm i strongroom\n```\n-->'))
})

test('documents have no phrases that are never right', async () => {
  for (const path of await documents()) {
    assert.deepEqual(prose(await read(path)).match(PHRASES), null, path)
  }
})

test('control: a phrase is found outside code', () => {
  const phrase = ['for', 'ever'].join(' ')
  assert.deepEqual(prose(`It runs ${phrase}. \`${phrase}\``).match(PHRASES), [phrase])
})

/** Matches two elements of a line of text with a line break between them, which JSX drops: "DevicesHome". */
const JOINED = /<\/(?:a|b|button|code|em|Link|span|strong)>\n\s*<(?:a|b|button|code|em|Link|span|strong)\b/

test('elements in the JSX of documents do not run into each other', async () => {
  for (const path of await documents()) {
    const blocks = (await read(path)).match(/^```[jt]sx\n.*?^```/gms) ?? []
    for (const block of blocks) assert.doesNotMatch(block, JOINED, path)
  }
})

/** Returns the lines of code in a document's first block that contains `text`. */
const codeLines = (document, text) => {
  const blocks = [...document.matchAll(/^```tsx?\n(.*?)^```/gms)].map(([, code]) => code)
  const code = blocks.find((block) => block.includes(text)) ?? ''
  return code.split('\n').filter((line) => line.trim() && !line.trim().startsWith('//'))
}

/** The files of examples that documents show, apart from the configuration, whose values differ. */
const SHOWN = {
  'docs/react-router.md': [
    'react-router',
    ['callback.html', 'vite.config.ts'],
    ['src/auth.config.ts', 'src/auth.metadata.ts'],
  ],
  'docs/frameworks.md': ['angular', [], []],
  'docs/nextjs.md': ['next', ['auth.ts', 'orders.tsx', 'app/[[...path]]/page.tsx', 'app/layout.tsx'], []],
}

for (const [document, [example, files, differing]] of Object.entries(SHOWN)) {
  test(`${document} shows every file of the example`, async () => {
    const folder = `examples/${example}/`
    const sources = await readdir(new URL(`${folder}src`, root)).catch(() => [])
    const text = await read(document)
    for (const file of [...files, ...sources.map((name) => `src/${name}`)]) {
      const comment = file.endsWith('.html') ? `<!-- ${file} -->` : `// ${file}`
      assert.ok(text.includes(`\n${comment}\n`) || file === 'src/index.html', `${document} lacks ${file}`)
      if (differing.includes(file) || file === 'src/index.html') continue
      const code = (await read(folder + file))
        .replaceAll('http://127.0.0.1:4402', 'https://api.example.com')
        .trim()
      assert.ok(text.includes(`${comment}\n${code}\n\`\`\``), `${document}: ${file} differs from the example`)
    }
  })
}

test('docs/migration-authjs.md shows the token handler of docs/nextjs.md', async () => {
  const [own, tested] = await Promise.all(['docs/migration-authjs.md', 'docs/nextjs.md'].map(read))
  const handler = (text) =>
    codeLines(text, 'TokenHandlerConfig = {').map((line) =>
      line.replace(/^export |.*globalThis.*/, '').trim(),
    )
  const known = new Set(handler(tested))
  const shown = handler(own)
  assert.ok(shown.length > 7)
  assert.deepEqual(
    shown.filter((line) => !known.has(line)),
    [],
  )
})

/** The packages whose names differ from the names of their tools. */
const PACKAGES = {
  Vitest: 'vitest',
  Jest: 'jest',
  Storybook: 'storybook',
  Playwright: 'playwright-core',
  MSW: 'msw',
  'Apollo Client': '@apollo/client',
  tRPC: '@trpc/client',
  Connect: '@connectrpc/connect',
  'RTK Query': '@reduxjs/toolkit',
  'TanStack Query': '@tanstack/react-query',
  SWR: 'swr',
  SignalR: '@microsoft/signalr',
  Uppy: '@uppy/core',
}

test('guides name the versions that were run', async () => {
  const folders = (await readdir(new URL('tests/recipes/', root))).filter((name) => !name.includes('.'))
  const installed = new Set()
  for (const folder of ['', ...folders.map((name) => `tests/recipes/${name}/`)]) {
    const { devDependencies } = JSON.parse(await read(`${folder}package.json`))
    for (const [name, version] of Object.entries(devDependencies)) {
      installed.add(`${name} ${version.replace(/\.\d+$/, '')}`)
    }
  }
  for (const path of ['docs/testing-your-app.md', 'docs/clients.md']) {
    const [, list] = /^The code of this page was run with (.*)\.$/m.exec(await read(path))
    const tools = list.split(/[,()]|\band\b/).flatMap((text) => text.trim() || [])
    assert.ok(tools.length > 6)
    let name
    for (const tool of tools) {
      const [, label, version] = /^(.*?) ?(\d+\.\d+)$/.exec(tool)
      name = label ? (PACKAGES[label] ?? label) : name
      assert.ok(installed.has(`${name} ${version}`), `${path}: ${name} ${version}`)
    }
  }
})

test('README: a guarded React app needs at most 15 lines', async () => {
  const readme = await read('README.md')
  const [worker, auth, main] = ["'strongroom/worker'", 'createAuth({', 'createRoot('].map((text) =>
    codeLines(readme, text),
  )
  const guard = main.filter((line) => /auth|RequireSession/i.test(line))
  assert.ok(worker.length > 3 && auth.length > 3 && guard.length > 2)
  assert.ok(worker.length + auth.length + guard.length <= 15)
})

test('README has at most 1000 words', async () => {
  const words = (await read('README.md')).replace(OF_THE_SITE, '').split(/\s+/).filter(Boolean)
  assert.ok(words.length <= 1000, `${words.length} words`)
})

test('sentences for users belong to documented codes', async () => {
  const text = await read('docs/errors.md')
  const [codes, sentences] = [0, 1].map((i) => text.split(/^## (?:Sentences for users|When .*)$/m)[i])
  const documented = new Set([...codes.matchAll(/^### `(\w+)`$/gm)].map(([, code]) => code))
  const named = [...sentences.matchAll(/`(\w+)`(?=.*\|.*\|$)/gm)].map(([, code]) => code)
  assert.ok(named.length > 20)
  assert.deepEqual(
    named.filter((code) => !documented.has(code)),
    [],
  )
  assert.equal(new Set(named).size, named.length, 'a code has two sentences')
})

/** The pages that end with a deployment. */
const GUIDES = [
  'callback-page',
  'deployment',
  'edge',
  'edge-deploy',
  'edge-page',
  'frameworks',
  'headers',
  'migration',
  'migration-authjs',
  'nextjs',
  'providers/README',
  'pwa',
  'react-router',
  'server-code',
  'standalone',
  'vault-origin',
]

test('guides name the command that checks the deployment', async () => {
  const paths = GUIDES.map((name) => `docs/${name}.md`)
  const command = /npx strongroom doctor https:\/\/app\.example\.com[^`]*`[^]{0,30}\]?\((\.\.\/)?doctor\.md\)/
  const lacking = []
  for (const path of paths) if (!command.test(await read(path))) lacking.push(path)
  assert.deepEqual(lacking, [])
})

test('documents name the oldest Node that the package allows', async () => {
  const { engines } = JSON.parse(await read('pkg/package.json'))
  const version = engines.node.replace('>=', '')
  for (const path of ['CONTRIBUTING.md', 'docs/stability.md']) {
    assert.ok((await read(path)).includes(version), `${path} lacks ${version}`)
  }
})

// The suite of the engines compares the cells as well, but only at its end, after some minutes.
test('docs/browsers.md has a row for each capability', () => {
  assert.deepEqual(documentedRows().sort(), [...ROWS].sort())
})
