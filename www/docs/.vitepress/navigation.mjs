/** The navigation of the site: the bar at the top, and the sidebar from the sections of docs/README.md. */
import { existsSync } from 'node:fs'
import { BRANCH, revision, version } from '../links.mjs'
import { INDEX, INTERNALS, REFERENCE, inOrder } from '../pages.mjs'
import { PARTS } from '../places.mjs'

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** The first section also has the README, which docs/README.md names before its sections. */
const FIRST = { label: 'The shortest app', page: 'README.md' }

/** Returns the entries of the reference in the sidebar. */
function reference(pages, link, titles) {
  const entries = [...pages.keys()].filter((page) => page.startsWith(REFERENCE))
  const [index, others] = [true, false].map((isIndex) =>
    entries.filter((page) => page.endsWith('/README.md') === isIndex),
  )
  return index.map((page) => ({
    text: 'Each entry of the package',
    link: pages.get(page),
    collapsed: true,
    items: others.map((other) => link({ label: titles.get(other), page: other })),
  }))
}

/**
 * Returns the items of the sidebar.
 *
 * @param {Map<string, string>} pages
 * @param {Awaited<ReturnType<typeof import('../pages.mjs').listSections>>} listed
 */
export function sidebar(pages, { sections, titles }) {
  const link = ({ label, page, pages: others }) => ({
    text: escape(label),
    link: pages.get(page),
    ...(others?.length && { collapsed: true, items: others.map(link) }),
  })
  const more = { Reference: reference(pages, link, titles) }
  return sections.map(({ title, pages: entries }, i) => ({
    text: title,
    // Closed sections show all tasks at a glance. VitePress opens the section of the page.
    collapsed: true,
    items: [...(i === 0 ? [FIRST] : []), ...entries].map(link).concat(more[title] ?? []),
  }))
}

/** Returns the beginnings of paths whose search results come after those of the guides: see repairs.mjs. */
export function later(pages, { sections }) {
  const internals = inOrder(sections.filter(({ title }) => title === INTERNALS))
  return [`/${REFERENCE}`, ...[INDEX, ...internals].map((page) => pages.get(page))]
}

/** Returns the links of the bar at the top. The parts that are built elsewhere may be missing. */
export function bar(hasReference) {
  const parts = PARTS.filter(({ folder }) => existsSync(folder))
  const state = revision === BRANCH ? 'in development' : 'release'
  return [
    { text: 'Start', link: '/start' },
    { text: 'Documents', link: '/documents', activeMatch: '^/documents$' },
    ...(hasReference ? [{ text: 'Reference', link: '/reference/', activeMatch: '^/reference/' }] : []),
    { text: 'Security', link: '/security' },
    ...parts.map(({ name, title }) => ({ text: title, link: `/${name}/`, target: '_self' })),
    {
      text: version,
      items: [
        { text: `${version} (${state})`, link: '/', activeMatch: '^$' },
        { text: 'Changes', link: '/changelog', activeMatch: '^$' },
      ],
    },
  ]
}
