/** The configuration of VitePress. `../build.mjs` has copied the pages when VitePress reads it. */
import { readFile } from 'node:fs/promises'
import { slug } from 'github-slugger'
import { createCssVariablesTheme } from 'shiki'
import { BRANCH, repository } from '../links.mjs'
import { FRONT, REFERENCE, listPages, listSections, markdownOf, plain } from '../pages.mjs'
import { OUTPUT, PAGES, WORK } from '../places.mjs'
import { unused, withWords } from '../search-words.mjs'
import { classes, labelCells, mapLinks, namesOf, pictures } from './markdown.mjs'
import { bar, later, sidebar } from './navigation.mjs'
import { canonicalOf, origin, sitemapOf } from './origin.mjs'
import { repairs } from './repairs.mjs'

const { pages, hasReference } = await listPages()
const listed = await listSections(pages)
const names = await namesOf(listed.titles)

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
  ...sitemapOf(origin),
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
      mapLinks(md, { pages, names, pageOf, report: (message) => dead.add(message) })
      labelCells(md)
      pictures(md, pageOf)
    },
  },
  contentProps: {},
  themeConfig: {
    logo: { src: '/icon.svg', alt: '' },
    nav: bar(hasReference),
    sidebar: sidebar(pages, listed),
    outline: { level: [2, 3], label: 'On this page' },
    search: {
      provider: 'local',
      options: {
        detailedView: false,
        later: later(pages, listed),
        // VitePress calls this function for the index only.
        _render: async (source, env, md) => withWords(pageOf(env), await md.renderAsync(source, env)),
        miniSearch: {
          // The text is for the excerpts.
          options: { storeFields: ['title', 'titles', 'text'] },
          searchOptions: { boost: { title: 4, text: 1, titles: 2 } },
        },
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
    data.frontmatter.head = [...(data.frontmatter.head ?? []), ...canonicalOf(origin, data.relativePath)]
  },
  buildEnd() {
    if (unused.size)
      throw new Error(`search-words.mjs names sections that do not exist: ${[...unused].join(', ')}`)
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
