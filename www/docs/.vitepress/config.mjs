/** The configuration of VitePress. `../build.mjs` has copied the pages when VitePress reads it. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { slug } from 'github-slugger'
import { createCssVariablesTheme } from 'shiki'
import { BRANCH, address, repository, version } from '../links.mjs'
import {
  FRONT,
  INDEX,
  INTERNALS,
  REFERENCE,
  inOrder,
  listPages,
  listSections,
  markdownOf,
  plain,
  resolve,
} from '../pages.mjs'
import { OUTPUT, PAGES, PARTS, WORK } from '../places.mjs'
import { repairs } from './repairs.mjs'

const { pages, hasReference } = await listPages()
const { sections, titles } = await listSections(pages)

const link = ({ label, page, pages: others }) => ({
  text: escape(label),
  link: pages.get(page),
  ...(others?.length && { collapsed: true, items: others.map(link) }),
})

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** The first section also has the README, which docs/README.md names before its sections. */
const first = [{ label: 'The shortest app', page: 'README.md' }]

const referencePages = [...pages.keys()].filter(
  (page) => page.startsWith(REFERENCE) && pages.get(page) !== '/reference/',
)

const sidebar = sections.map(({ title, pages: entries }, i) => ({
  text: title,
  // Closed sections show all tasks at a glance. VitePress opens the section of the page.
  collapsed: true,
  items: [
    ...(i === 0 ? first : []).map(link),
    ...entries.map(link),
    ...(title === 'Reference' && hasReference
      ? [
          {
            text: 'Each entry of the package',
            link: '/reference/',
            collapsed: true,
            items: referencePages.map((page) => link({ label: titles.get(page), page })),
          },
        ]
      : []),
  ],
}))

/** Pages whose search results come after those of the guides: see repairs.mjs. */
const later = [
  `/${REFERENCE}`,
  pages.get(INDEX),
  ...inOrder(sections.filter(({ title }) => title === INTERNALS)).map((page) => pages.get(page)),
]

/** The links to parts that are built elsewhere and may be missing. */
const parts = PARTS.filter(({ folder }) => existsSync(folder)).map(({ name, title }) => ({
  text: title,
  link: `/${name}/`,
  target: '_self',
}))

const nav = [
  { text: 'Start', link: '/start' },
  { text: 'Documents', link: '/documents', activeMatch: '^/documents$' },
  ...(hasReference ? [{ text: 'Reference', link: '/reference/', activeMatch: '^/reference/' }] : []),
  { text: 'Security', link: '/security' },
  ...parts,
  {
    text: version,
    items: [
      { text: `${version} (this version)`, link: '/', activeMatch: '^$' },
      { text: 'Changes', link: '/changelog', activeMatch: '^$' },
    ],
  },
]

/** Gives code its colors by classes, because the policy of the site allows no inline styles. */
const classes = {
  name: 'classes',
  pre: (node) => void delete node.properties.style,
  span(node) {
    const [, token] = /--code-token-([\w-]+)/.exec(node.properties.style ?? '') ?? []
    delete node.properties.style
    if (token) this.addClassToHast(node, `code-${token}`)
  },
}

/** The paths to which VitePress renames the pages. */
const rewrites = Object.fromEntries(
  [...pages].map(([page, route]) => [page, page === FRONT ? FRONT : markdownOf(route).slice(1)]),
)
const renamed = new Map(Object.entries(rewrites).map(([page, name]) => [name, page]))

/** Returns the page that is being rendered, by its path in the repository. VitePress may give its new path. */
function pageOf({ path }) {
  const name = path.slice(PAGES.length)
  return pages.has(name) ? name : renamed.get(name)
}

/** Links that lead nowhere. They are reported together, at the end. */
const dead = new Set()

function mapLinks(md) {
  md.core.ruler.after('inline', 'map_links', ({ tokens, env }) => {
    for (const { children } of tokens) {
      children?.forEach((token, i) => {
        if (token.type !== 'link_open' || token.attrGet('class') === 'header-anchor') return
        const target = token.attrGet('href')
        const label = children[i + 1]
        try {
          token.attrSet('href', address(pages, pageOf(env), target))
          // The name of a file means nothing to a reader of the site.
          if (/^[\w/-]+\.md$/.test(label.content))
            label.content = titles.get(resolve(pageOf(env), target)) ?? label.content
        } catch (error) {
          dead.add(error.message)
        }
      })
    }
  })
}

/**
 * Adds to each cell of a table the text of its column's header, which style.css shows on narrow screens. A header cell
 * without text confuses screen readers, so it becomes a data cell.
 */
function labelCells(md) {
  md.core.ruler.push('label_cells', ({ tokens }) => {
    let headers = []
    let column = 0
    tokens.forEach((token, i) => {
      if (token.type === 'table_open') headers = []
      if (token.type === 'tr_open') column = 0
      if (token.type === 'th_open') {
        const text = plain(tokens[i + 1].content)
        headers.push(text)
        if (text) return
        token.tag = 'td'
        tokens[i + 2].tag = 'td'
      }
      if (token.type === 'td_open') {
        const label = headers[column++]
        if (label) token.attrSet('data-label', label)
      }
    })
  })
}

/** A picture in Mermaid's language is drawn by the code host only, so its source gets a link to it. */
function pictures(md) {
  const fence = md.renderer.rules.fence
  md.renderer.rules.fence = (tokens, i, options, env, self) => {
    const html = fence(tokens, i, options, env, self)
    if (!tokens[i].info.startsWith('mermaid')) return html
    const url = `${repository}/blob/${BRANCH}/${pageOf(env)}`
    return `<p class="picture"><a href="${url}" target="_blank" rel="noreferrer">The code host draws this picture.</a> This is its source:</p>${html}`
  }
}

/** Returns the first sentence of a page, for search engines. */
function descriptionOf(text) {
  const [, paragraph = ''] = /^([^#<`|\s\d-].*)$/m.exec(text.replace(/^```.*?^```/gms, '')) ?? []
  return plain(paragraph.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')).split(/(?<=\.) /)[0]
}

export default {
  title: 'strongroom',
  description: 'OAuth tokens that never enter the page. Documents of the npm package strongroom.',
  lang: 'en',
  srcDir: PAGES,
  outDir: OUTPUT,
  cacheDir: `${WORK}cache`,
  cleanUrls: true,
  // Without this option, a switch between light and dark puts a <style> into the page, which the policy refuses.
  appearance: { disableTransition: false },
  // check.mjs checks the links of the built pages, and those to headings too.
  ignoreDeadLinks: true,
  rewrites,
  head: [
    ['link', { rel: 'icon', href: '/icon.svg', type: 'image/svg+xml' }],
    ['meta', { name: 'color-scheme', content: 'light dark' }],
  ],
  markdown: {
    theme: createCssVariablesTheme({ name: 'classes', variablePrefix: '--code-' }),
    codeTransformers: [classes],
    anchor: { slugify: (text) => slug(text) },
    // The documents are written for a code host, which knows none of these.
    attrs: false,
    emoji: false,
    toc: false,
    include: false,
    snippet: false,
    config(md) {
      mapLinks(md)
      labelCells(md)
      pictures(md)
    },
  },
  contentProps: {},
  themeConfig: {
    logo: { src: '/icon.svg', alt: '' },
    nav,
    sidebar,
    outline: { level: [2, 3], label: 'On this page' },
    search: {
      provider: 'local',
      options: {
        detailedView: false,
        later,
        miniSearch: { searchOptions: { boost: { title: 4, text: 1, titles: 2 } } },
      },
    },
    editLink: { pattern: `${repository}/edit/${BRANCH}/:path`, text: 'Edit this page' },
    socialLinks: [{ icon: 'github', link: repository, ariaLabel: 'Repository' }],
    docFooter: { prev: 'Previous', next: 'Next' },
    footer: {
      message: `MIT or Apache-2.0 · <a href="/llms.txt" target="_self">llms.txt</a> · <a href="${repository}">Repository</a>`,
    },
  },
  async transformPageData(data) {
    if (!data.description) data.description = descriptionOf(await readFile(PAGES + data.filePath, 'utf8'))
    if (data.filePath === FRONT || data.filePath.startsWith(REFERENCE)) data.frontmatter.editLink = false
    if (data.filePath === FRONT) data.frontmatter.sidebar = false
  },
  buildEnd() {
    if (dead.size) throw new Error(`links lead nowhere:\n  ${[...dead].join('\n  ')}`)
  },
  vite: {
    // The pages are in another folder than VitePress and the theme.
    server: { fs: { strict: false } },
    build: { chunkSizeWarningLimit: 2000 },
    logLevel: 'warn',
    plugins: repairs,
  },
}
