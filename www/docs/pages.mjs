/**
 * The pages of the site: which Markdown files are pages, at which path each one is, and in which order they are listed.
 * The documents decide this, so no list of pages is here.
 *
 * - Every Markdown file below `docs` is a page, and so is each one in the root that docs/README.md links to.
 * - The sections of docs/README.md are the sections of the sidebar.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The page that lists all others. */
export const INDEX = 'docs/README.md'

/** The section of the pages for people who work on strongroom. */
export const INTERNALS = 'Internals'

/** The folder of the generated reference in the list of pages. Its files are in target/reference. */
export const REFERENCE = 'reference/'
const generated = `${root}target/reference/`

/** The file of the front page, which `front.mjs` writes. */
export const FRONT = 'index.md'

/** Pages whose path does not follow from the name of their file. */
const ROUTES = { 'README.md': '/start', [INDEX]: '/documents', [FRONT]: '/' }

/** Returns the file of a page on this machine. */
export const fileOf = (page) =>
  page.startsWith(REFERENCE) ? generated + page.slice(REFERENCE.length) : root + page

/** Matches Markdown that only the site shows. Code hosts show no comments, and the package has none of these. */
const ONLY_HERE = /^<!-- only on the site\n(.*?)\n-->$/gms

const readAny = async (page) => (await readFile(fileOf(page), 'utf8')).replace(ONLY_HERE, '$1')

/** Resolves with the whole README. The front page shows its beginning. */
export const readReadme = () => readAny('README.md')

/** Resolves with the Markdown of a page on the site. The README's page begins with the installation. */
export async function read(page) {
  if (page !== 'README.md') return readAny(page)
  const text = await readReadme()
  const start = text.indexOf('## Install\n')
  if (start < 0) throw new Error('README.md has no section "Install", with which the page Start begins')
  return `# Start\n\n${text.slice(start)}`
}

/** Returns the path at which a page is served: docs/fetch.md is at /fetch, and docs/providers/README.md at /providers/. */
export function routeOf(page) {
  const name = page.replace(/^docs\//, '').replace(/\.md$/, '')
  return (
    ROUTES[page] ??
    `/${name.replace(/(^|\/)README$/, '$1')}`.replace(/^\/[A-Z]+$/, (path) => path.toLowerCase())
  )
}

/** Returns the path of a page's Markdown, which is served beside the page. */
export const markdownOf = (route) => `${route.endsWith('/') ? `${route}index` : route}.md`

/** Matches a link in Markdown. The label may contain code. */
const LINK = /\[((?:[^\]`]|`[^`]*`)*)\]\(([^)\s]+)\)/g

/** Returns the links of a text to Markdown files, as paths in the repository. */
function links(text, page) {
  return [...text.matchAll(LINK)]
    .filter(([, , target]) => /^[^:#]+\.md(#|$)/.test(target))
    .map(([, label, target]) => ({ label: capitalized(label), page: resolve(page, target) }))
}

/** Returns the label of a link as an entry of a list. Code keeps its case. */
const capitalized = (label) =>
  label.startsWith('`') ? plain(label) : plain(label).replace(/^./, (letter) => letter.toUpperCase())

/** Returns the path in the repository to which a relative link of a page leads. */
export const resolve = (page, target) => posix.join(posix.dirname(page), target.split('#')[0])

/** Returns text without the marks of code and emphasis. */
export const plain = (text) => text.replace(/[`*]/g, '').trim()

async function below(folder) {
  const paths = await readdir(folder, { recursive: true })
  return paths.filter((path) => path.endsWith('.md')).sort()
}

/**
 * Resolves with the pages, by their paths in the repository.
 *
 * @returns {Promise<{ pages: Map<string, string>, hasReference: boolean }>} The path of each page on the site.
 */
export async function listPages() {
  const index = await read(INDEX)
  const inRoot = links(index, INDEX)
    .map(({ page }) => page)
    .filter((page) => !page.includes('/'))
  const inDocs = (await below(`${root}docs`)).map((path) => `docs/${path}`)
  const hasReference = existsSync(generated)
  const inReference = hasReference ? (await below(generated)).map((path) => REFERENCE + path) : []
  const pages = new Map()
  for (const page of new Set([FRONT, ...inRoot, ...inDocs, ...inReference])) {
    const route = routeOf(page)
    const other = [...pages].find(([, taken]) => taken === route)
    if (other) throw new Error(`${page} and ${other[0]} would both be at ${route}: rename one of them`)
    pages.set(page, route)
  }
  return { pages, hasReference }
}

/** Resolves with the title of each page. The front page has none. */
async function titlesOf(pages) {
  const titles = new Map()
  for (const page of pages.keys()) {
    if (page !== FRONT) titles.set(page, plain(/^# (.*)$/m.exec(await read(page))?.[1] ?? page))
  }
  return titles
}

/** Resolves with the other pages of the folder of an index, in the order of its links. Pages without a link are last. */
async function folderOf(index, pages) {
  const folder = posix.dirname(index)
  const order = links(await read(index), index).map(({ page }) => page)
  const isInside = (page) => pages.has(page) && page !== index && posix.dirname(page) === folder
  return [...new Set([...order, ...pages.keys()])].filter(isInside)
}

/**
 * Resolves with the sections of docs/README.md, each with its pages, and with the titles of all pages. A page that is
 * linked twice is in the section that names it first. An index of a folder has the other pages of the folder as `pages`.
 *
 * @param {Map<string, string>} pages
 */
export async function listSections(pages) {
  const titles = await titlesOf(pages)
  const listed = new Set(['README.md', INDEX, FRONT])
  const isNew = ({ page }) => pages.has(page) && !listed.has(page) && listed.add(page)
  const [, ...parts] = (await read(INDEX)).split(/^## /m)
  const sections = parts.map((part) => ({
    title: part.split('\n')[0].trim(),
    pages: links(part, INDEX).filter(isNew),
  }))
  for (const entry of sections.flatMap(({ pages: entries }) => entries)) {
    if (posix.basename(entry.page) !== 'README.md') continue
    const others = await folderOf(entry.page, pages)
    entry.pages = others.map((page) => ({ label: titles.get(page), page })).filter(isNew)
  }
  const unlisted = [...pages.keys()].filter((page) => !listed.has(page) && !page.startsWith(REFERENCE))
  if (unlisted.length) {
    throw new Error(
      `${INDEX} has no link to ${unlisted.join(', ')}: add one to the section where readers look for it`,
    )
  }
  return { sections, titles }
}

/** Returns the pages of the sections in their order. */
export const inOrder = (sections) =>
  sections.flatMap(({ pages }) =>
    pages.flatMap((entry) => [entry.page, ...(entry.pages ?? []).map(({ page }) => page)]),
  )
