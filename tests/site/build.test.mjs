// The built documentation site: its pages, links, headings, policies, and what it has for assistants.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Miniflare } from 'miniflare'
import { check, faultsOf, readPages, readPolicy } from '../../www/docs/check.mjs'
import { BRANCH, address, repository, revision, withAddresses } from '../../www/docs/links.mjs'
import { canonicalOf, sitemapOf } from '../../www/docs/.vitepress/origin.mjs'
import { later } from '../../www/docs/.vitepress/navigation.mjs'
import { excerptOf, rank, searchOptions } from '../../www/docs/.vitepress/rank.mjs'
import { repair } from '../../www/docs/.vitepress/repairs.mjs'
import { rulesOf } from '../../www/docs/finish.mjs'
import {
  INTERNALS,
  REFERENCE,
  inOrder,
  listPages,
  listSections,
  markdownOf,
  read,
  readReadme,
  root,
  routeOf,
} from '../../www/docs/pages.mjs'
import { OUTPUT } from '../../www/docs/places.mjs'
import { TERMS, isFound } from '../support/docs_site.mjs'
import { terms, withWords } from '../../www/docs/search-words.mjs'
import { headersFor, parseHeaders } from '../../www/docs/serve.mjs'

assert.ok(existsSync(OUTPUT), 'the site is not built: run `cargo xtask docs`')

const require = createRequire(new URL('../../www/docs/package.json', import.meta.url))
const load = (name) => import(pathToFileURL(require.resolve(name)))
const { default: GithubSlugger } = await load('github-slugger')
const { default: MiniSearch } = await load('minisearch')

const { pages, hasReference } = await listPages()
const html = await readPages()
const policy = await readPolicy()
const output = (path) => readFile(OUTPUT + path, 'utf8')

test('no link is dead, and nothing is outside of the policy', async () => {
  assert.ok(html.size > 60)
  assert.deepEqual(await check(), [])
})

test('control: each kind of fault is reported', () => {
  const page = (body) => new Map([['/a', `<h1 id="b">B</h1>${body}`]])
  const faults = (body) => faultsOf(page(body), () => false, policy)
  assert.deepEqual(faults('<a href="/a#b">B</a><a href="#b">B</a><a href="https://c.test">C</a>'), [])
  const wrong = {
    '<a class="x" href="/none">A</a>': /leads to no page/,
    '<a href="/a#none">A</a>': /leads to no heading/,
    '<a href="#none">A</a>': /leads to no heading/,
    '<script>alert(1)</script>': /inline script/,
    '<style>p{}</style>': /<style>/,
    '<p title="a > b" style="color:red">A</p>': /style attribute/,
    '<p onclick="a()">A</p>': /handler/,
    '<img src="https://c.test/a.png">': /another origin/,
    '<script src="//c.test/a.js"></script>': /another origin/,
    '<link rel="stylesheet" href="https://c.test/a.css">': /another origin/,
    '<img src="/none.png">': /does not exist/,
  }
  for (const [body, expected] of Object.entries(wrong)) {
    const found = faults(body)
    assert.equal(found.length, 1, body)
    assert.match(found[0], expected)
  }
})

test('a link leads to a page, or to the repository', () => {
  const from = (target) => address(pages, 'docs/providers/auth0.md', target)
  assert.equal(from('../fetch.md#bodies'), '/fetch#bodies')
  assert.equal(from('README.md'), '/providers/')
  assert.equal(from('../../README.md'), '/start')
  assert.equal(from('../../src/vault/lib.rs'), `${repository}/blob/${revision}/src/vault/lib.rs`)
  assert.equal(from('../../examples/'), `${repository}/tree/${revision}/examples`)
  assert.equal(from('https://example.com/a.md'), 'https://example.com/a.md')
  assert.equal(from('#tested'), '#tested')
  assert.throws(() => from('none.md'), /docs\/providers\/auth0.md: the link none.md leads nowhere/)
  assert.throws(() => from('../../../outside.md'), /leads nowhere/)
})

test('code is not changed when links get their addresses', () => {
  const text = '[a](fetch.md) `[b](fetch.md)`\n```md\n[c](fetch.md)\n```\n![d](demo.png)'
  assert.equal(
    withAddresses(pages, 'docs/x.md', text),
    '[a](/fetch.md) `[b](fetch.md)`\n```md\n[c](fetch.md)\n```\n![d](/demo.png)',
  )
})

test('results with all words come first, and no page hides others', () => {
  const results = (...ids) => ids.map((id) => ({ id, text: '', terms: [], excerpt: '' }))
  const index = {
    search: (text, { combineWith } = {}) =>
      combineWith === 'AND' ? results('/b') : results('/a', '/a#1', '/a#2', '/a#3', '/b', '/c'),
  }
  assert.deepEqual(rank(index, 'two words'), results('/b', '/a', '/a#1', '/a#2', '/c'))
})

/** Resolves with the index of the search, with the options of the search box. */
async function readIndex() {
  const chunks = `${OUTPUT}/assets/chunks/`
  const file = (await readdir(chunks)).find((name) => name.startsWith('@localSearchIndex'))
  const { default: json } = await import(pathToFileURL(chunks + file))
  const options = searchOptions(later(pages, await listSections(pages)))
  const boost = { title: 4, text: 1, titles: 2 }
  return MiniSearch.loadJSON(json, {
    fields: ['title', 'titles', 'text'],
    storeFields: ['title', 'titles', 'text'],
    searchOptions: { ...options, boost },
  })
}

test('search finds sections by words that they do not use', async () => {
  const index = await readIndex()
  const first = (word) =>
    rank(index, word)
      .slice(0, 5)
      .map(({ id }) => id.split('#')[0])
  const missing = terms.flatMap(({ section, words }) =>
    words.filter((word) => !first(word).includes(routeOf(section.split('#')[0]))),
  )
  assert.deepEqual(missing, [])
  assert.ok(terms.flatMap(({ words }) => words).length > 400)
  assert.ok(!first('key rotation').includes('/popup'), 'control')
  assert.deepEqual(first('qwxzyv'), [], 'control')
})

test('search finds what users look for', async () => {
  const index = await readIndex()
  const results = (term) => rank(index, term).map(({ id }) => id)
  const missing = Object.entries(TERMS).filter(([term, page]) => !isFound(results(term), page))
  assert.deepEqual(missing, [])
  assert.ok(Object.keys(TERMS).length >= 70)
  assert.ok(!isFound(results('popup'), /^\/none/), 'control')
})

/** Questions of people who are new, each with the section that answers it. */
const QUESTIONS = {
  'safari reload session': '/faq#why-must-the-user-sign-in-again-in-safari-or-in-each-tab',
  'second API with its own audience': '/resources#several-apis-each-with-its-own-tokens',
  'upload with progress': '/fetch#progress',
  'failed refresh': '/sessions#when-a-refresh-fails',
  'refresh failed': '/sessions#when-a-refresh-fails',
  'stolen cookie': '/edge-bound#sessions-that-cannot-be-copied',
  'policy on Netlify': '/deployment#netlify',
  'logout everywhere': '/sessions#on-all-devices',
  'sign out everywhere': '/edge-sessions#sign-out-on-all-devices',
  'change cookie keys': '/edge-operate#replace-a-key',
  'Postgres coordinator': '/edge-deploy#postgres',
  invalid_client: '/errors#client_rejected',
  docker: '/deployment#nginx',
  'hot reload': '/debugging#while-you-develop',
  'redirect uri mismatch': '/errors#redirect_uri_mismatch',
  'base path subfolder': '/session-storage#several-apps-on-one-origin',
}

test('the first result answers the questions of people who are new', async () => {
  const index = await readIndex()
  const found = Object.keys(QUESTIONS).map((question) => [question, rank(index, question)[0].id])
  assert.deepEqual(Object.fromEntries(found), QUESTIONS)
})

test('words are below the heading of their section', () => {
  const html = '<h1 id="a">A</h1><p>B</p><h2 id="by-popup">C</h2><p>D</p>'
  const text = withWords('docs/login.md', html)
  assert.match(
    text,
    /A<\/h1>\s*<p>⁂ log in, .*docs\/login\.md.*<p>B<.*C<\/h2>\s*<p>⁂ loginWithPopup, .*<p>D</s,
  )
  assert.match(
    withWords('docs/none.md', html),
    /A<\/h1>\s*<p>⁂ docs\/none\.md\..*<\/p><p>B<\/p><h2[^>]*>C<\/h2><p>D/s,
  )
})

test('an excerpt shows the words that were found, and no words that only the search has', () => {
  const long = `${'before '.repeat(20)}the token rotates${' after'.repeat(40)}`
  const text = `⁂ token theft ⁂ ${long}`
  const shown = excerptOf({ text, terms: ['token'] })
  assert.match(shown, /^… (before )+the token rotates( after)+ …$/)
  assert.ok(shown.length < 200)
  assert.equal(excerptOf({ text: 'A short one.', terms: [] }), 'A short one.')
  assert.equal(excerptOf({ text: 'A (b', terms: ['(b'] }), 'A (b')
})

test('words that say nothing do not count in a search', () => {
  const asked = []
  const index = { search: (text) => (asked.push(text), []) }
  rank(index, 'How do I upload with progress')
  rank(index, 'the own')
  assert.deepEqual([...new Set(asked)], ['upload progress', 'the own'])
})

test('a newer VitePress without the repaired text fails the build', () => {
  assert.throws(() => repair('VPLocalSearchBox.vue', '<template></template>'), /VitePress has changed/)
})

test('with an origin, pages name their addresses', () => {
  const site = 'https://docs.example.com'
  for (const [file, address] of [
    ['index.md', '/'],
    ['fetch.md', '/fetch'],
    ['providers/index.md', '/providers/'],
    ['providers/auth0.md', '/providers/auth0'],
  ]) {
    assert.deepEqual(canonicalOf(site, file), [['link', { rel: 'canonical', href: site + address }]])
    assert.ok(html.has(address), address)
  }
  assert.deepEqual(sitemapOf(site), { sitemap: { hostname: site } })
  assert.deepEqual([canonicalOf(undefined, 'fetch.md'), sitemapOf(undefined)], [[], {}])
  assert.ok(![...html.values()].some((page) => page.includes('rel="canonical"')))
})

test('the policy allows no inline code, and no other origin', () => {
  assert.doesNotMatch(policy, /unsafe|https?:|\*/)
  assert.match(policy, /script-src 'self' 'sha256-\S+' 'sha256-\S+';/)
  assert.match(policy, /style-src 'self';/)
  assert.match(policy, /require-trusted-types-for 'script'/)
})

test('rules of headers are combined as hosts do', () => {
  const rules = parseHeaders('/*\n  A: 1\n  B: 2\n\n/demo/*\n  ! A\n  C: 3\n')
  assert.deepEqual(headersFor(rules, '/x'), { A: '1', B: '2' })
  assert.deepEqual(headersFor(rules, '/demo/x'), { B: '2', C: '3' })
})

test('Cloudflare serves the pages with these headers', async () => {
  const assets = { directory: OUTPUT, assetConfig: { not_found_handling: '404-page' } }
  const cloudflare = new Miniflare({ modules: true, script: 'export default {}', assets })
  try {
    for (const [path, status, type] of [
      ['/', 200, 'text/html'],
      ['/start', 200, 'text/html'],
      ['/providers/', 200, 'text/html'],
      ['/start.md', 200, 'text/plain'],
      ['/none', 404, 'text/html'],
    ]) {
      const response = await cloudflare.dispatchFetch(`https://docs.example.com${path}`)
      assert.equal(response.status, status, path)
      assert.ok(response.headers.get('Content-Type').startsWith(type), path)
      assert.equal(response.headers.get('Content-Security-Policy'), policy, path)
    }
  } finally {
    await cloudflare.dispose()
  }
})

test('the demo has its own headers instead of those of the site', () => {
  const site = `/*\n  Content-Security-Policy: a\n  X: 1\n\n`
  for (const text of [
    '/demo/*\n  Content-Security-Policy: b',
    '/demo/index.html\n  Content-Security-Policy: b',
  ]) {
    const rules = parseHeaders(site + rulesOf('demo', text))
    assert.equal(rules.filter(({ pattern }) => pattern.source.includes('demo\\/.*')).length, 1)
    assert.deepEqual(headersFor(rules, '/demo/index.html'), { 'Content-Security-Policy': 'b', X: '1' })
    assert.deepEqual(headersFor(rules, '/demonstration'), { 'Content-Security-Policy': 'a', X: '1' })
  }
})

test('each document is a page in the sidebar, with its Markdown', async () => {
  const documents = (await readdir(`${root}docs`, { recursive: true })).filter((name) => name.endsWith('.md'))
  const sidebar = html.get('/start')
  for (const name of [
    ...documents.map((document) => `docs/${document}`),
    'README.md',
    'SECURITY.md',
    'CHANGELOG.md',
  ]) {
    const route = pages.get(name)
    assert.ok(html.has(route), name)
    assert.ok((await output(markdownOf(route))).startsWith('# '), name)
    if (!name.startsWith('docs/providers/'))
      assert.ok(sidebar.includes(`href="${route}"`), `${name} is not in the sidebar`)
  }
})

test(
  'the reference has a page for each entry',
  { skip: !hasReference && 'without the reference' },
  async () => {
    const { exports } = JSON.parse(await readFile(`${root}pkg/package.json`, 'utf8'))
    const entries = Object.entries(exports).filter(([, entry]) => JSON.stringify(entry).includes('.d.ts'))
    assert.ok(entries.length > 18)
    for (const [name] of entries) assert.ok(html.has(`/reference/${name.replace('.', 'strongroom')}`), name)
  },
)

/** Returns the text of a heading, as it is shown. */
const shown = (heading) =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/(\*\*|`)(.*?)\1/g, '$2')
    .replace(/\*(\S.*?)\*/g, '$1')
    .replace(/\\(.)/g, '$1')

/** Returns the anchors of a document, as the code host writes them. */
function anchors(text) {
  const slugger = new GithubSlugger()
  const headings = text.replace(/^(```+).*?^\1/gms, '').matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, heading]) => slugger.slug(shown(heading)))
}

const idsOf = (text) => [...text.matchAll(/<h[1-6] id="([^"]+)"/g)].map(([, id]) => id)

test('anchors are those of the code host', async () => {
  let count = 0
  for (const [page, route] of pages) {
    if (page.startsWith(REFERENCE) || route === '/') continue
    const expected = anchors(await read(page))
    count += expected.length
    assert.deepEqual(idsOf(html.get(route)), expected, page)
  }
  assert.ok(count > 300)
})

test('control: other anchors are noticed', () => {
  assert.deepEqual(anchors('# `auth.fetch`, sources\n## 401\n## 401\n```\n# no\n```\n'), [
    'authfetch-sources',
    '401',
    '401-1',
  ])
})

test('links for editing lead to the documents', () => {
  let count = 0
  for (const [, text] of html) {
    for (const [, path] of text.matchAll(new RegExp(`href="${repository}/edit/${BRANCH}/([^"]+)"`, 'g'))) {
      count++
      assert.ok(existsSync(root + path), path)
    }
  }
  assert.ok(count > 60)
})

test('the front page has the facts of the README', async () => {
  const [, page, worker] = /\*\*Cost\*\*: ([\d.]+ KB) in the page and ([\d.]+ KB) in the worker/.exec(
    await readReadme(),
  )
  const front = html.get('/').replace(/<[^>]*>/g, '')
  assert.ok(front.includes(`${page} in the page, and ${worker} in the worker`))
  for (const path of ['/start', '/edge', '/frameworks'])
    assert.ok(html.get('/').includes(`href="${path}"`), path)
})

/** Returns what a reader of a page sees, without code. */
const prose = (page) =>
  /<main.*<\/main>/s
    .exec(page)[0]
    .replace(/<pre.*?<\/pre>|<code>.*?<\/code>/gs, '')
    .replace(/<[^>]*>/g, '')

/** Returns the names of documents' files in a page, each with the words before. */
const namesOfFiles = (page) =>
  [...prose(page).matchAll(/.{0,40}(README|\b[\w/-]+\.md\b)/g)].map(([text]) => text)

test('pages for users name pages as the site does', async () => {
  const { sections } = await listSections(pages)
  const forUsers = sections.filter(({ title }) => title !== INTERNALS)
  const routes = ['/start', '/documents', ...inOrder(forUsers).map((page) => pages.get(page))]
  assert.ok(routes.length > 60)
  // The changes name files of the repository.
  const wrong = routes
    .filter((route) => route !== '/changelog')
    .flatMap((route) => namesOfFiles(html.get(route)).map((name) => `${route}: ${name}`))
  assert.deepEqual(wrong, [])
  assert.deepEqual(
    namesOfFiles('<main><code>a.md</code><p>The README, b.md</p></main>'),
    ['The README, b.md'],
    'control',
  )
})

test('a link to a section has its heading as label', () => {
  const shown = html.get('/deployment').replace(/<[^>]*>/g, '')
  assert.match(shown, /configuration of “Headers: Generate them”/)
  assert.match(shown, /\(“A name without a hash”\)/)
  assert.match(html.get('/vault-origin').replace(/<[^>]*>/g, ''), /“Browsers: Which worker” says/)
})

test('the site offers demo and playground, and no clone', () => {
  assert.ok(!html.get('/start').includes('cargo xtask demo'), 'Start needs no demo from a clone')
  for (const [route, part] of [
    ['/', 'demo'],
    ['/', 'playground'],
    ['/start', 'demo'],
    ['/start', 'playground'],
    ['/headers', 'playground'],
    ['/options', 'playground'],
    ['/deployment', 'playground'],
    ['/security', 'demo'],
    ['/protection', 'demo'],
  ])
    assert.match(
      html.get(route),
      new RegExp(`<main.*href="/${part}/" target="_self"`, 's'),
      `${route}: ${part}`,
    )
})

/** Returns the addresses in Markdown. */
const targets = (text) =>
  [
    ...text
      .replace(/^(```+).*?^\1/gms, '')
      .replace(/`[^`\n]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ].map(([, target]) => target)

test('links in the Markdown of pages lead to Markdown', async () => {
  let count = 0
  for (const route of pages.values()) {
    for (const target of targets(await output(markdownOf(route)))) {
      if (/^(https?:|mailto:|#)/.test(target)) continue
      count++
      assert.ok(existsSync(OUTPUT + target.split('#')[0]), `${route}: ${target}`)
    }
  }
  assert.ok(count > 300)
})

test('no Markdown has comments outside of code', async () => {
  const files = (await readdir(OUTPUT, { recursive: true })).filter((file) => file.endsWith('.md'))
  assert.ok(files.length > 60)
  for (const file of [...files, 'llms-full.txt']) {
    const text = (await output(`/${file}`)).replace(/^(`{3,})[^]*?^\1/gm, '')
    assert.doesNotMatch(text, /^<!--/m, file)
  }
})

test('Start begins with the installation, until the first release from a clone', async () => {
  const text = await output('/start.md')
  assert.match(text, /^# Start\n\n## Install\n\nBuild the package in a clone, /)
  assert.doesNotMatch(text + (await output('/index.html')), /npm i strongroom\b/)
})

test('assistants find a list of the pages, and the text of all guides', async () => {
  const list = await output('/llms.txt')
  assert.ok(targets(list).length > 40)
  for (const target of targets(list)) assert.ok(existsSync(OUTPUT + target.split('#')[0]), target)
  const full = await output('/llms-full.txt')
  for (const page of ['README.md', 'docs/fetch.md', 'docs/providers/auth0.md', 'SECURITY.md']) {
    const [heading] = (await read(page)).split('\n')
    assert.ok(full.includes(`\n${heading}\n`), page)
  }
})
