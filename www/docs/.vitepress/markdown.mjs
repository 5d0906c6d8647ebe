/** The Markdown of the documents, which is written for a code host, on the site: links, tables, code and pictures. */
import GithubSlugger from 'github-slugger'
import { BRANCH, address, repository } from '../links.mjs'
import { plain, read, resolve } from '../pages.mjs'
import { PARTS } from '../places.mjs'

/** Gives code its colors by classes, because the policy of the site allows no inline styles. */
export const classes = {
  name: 'classes',
  pre: (node) => void delete node.properties.style,
  span(node) {
    const [, token] = /--code-token-([\w-]+)/.exec(node.properties.style ?? '') ?? []
    delete node.properties.style
    if (token) this.addClassToHast(node, `code-${token}`)
  },
}

/** Headings with fewer words, such as "The page", say too little without the title of their page. */
const FEW_WORDS = 3

/**
 * Resolves with the names of pages and of their sections, by path and anchor: the heading, after the title of the page if
 * the heading is short.
 *
 * @param {Map<string, string>} titles The title of each page.
 * @returns {Promise<Map<string, string>>}
 */
export async function namesOf(titles) {
  const names = new Map(titles)
  for (const [page, title] of titles) {
    const slugger = new GithubSlugger()
    const text = (await read(page)).replace(/^(```+).*?^\1/gms, '')
    for (const [, heading] of text.matchAll(/^#+ (.*)$/gm)) {
      const shown = plain(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'))
      const isShort = shown.split(' ').length < FEW_WORDS
      names.set(`${page}#${slugger.slug(shown)}`, isShort && shown !== title ? `${title}: ${shown}` : shown)
    }
  }
  return names
}

/** Matches the path of a part that is not one of VitePress's pages. */
const PART = new RegExp(`^/(${PARTS.map(({ name }) => name).join('|')})/`)

/**
 * Maps the links of a page. A link whose label is the name of a file gets the name of the page or section, in quotation
 * marks, so that the sentence around it can be read.
 *
 * @param {Map<string, string>} pages
 * @param {Map<string, string>} names
 * @param {(env: object) => string} pageOf Returns the path in the repository of the page that is being rendered.
 * @param {(message: string) => void} report Is told of each link that leads nowhere.
 */
export function mapLinks(md, { pages, names, pageOf, report }) {
  const map = (env, token, label) => {
    const page = pageOf(env)
    const target = token.attrGet('href')
    token.attrSet('href', address(pages, page, target))
    // Otherwise VitePress would look for a page of its own.
    if (PART.test(target)) token.attrSet('target', '_self')
    if (!/^[\w/-]+\.md$/.test(label.content)) return
    const [, anchor] = target.split('#')
    const file = resolve(page, target)
    const name = names.get(anchor ? `${file}#${anchor}` : file)
    if (name) label.content = `“${name}”`
  }
  md.core.ruler.after('inline', 'map_links', ({ tokens, env }) => {
    for (const { children } of tokens) {
      children?.forEach((token, i) => {
        if (token.type !== 'link_open' || token.attrGet('class') === 'header-anchor') return
        try {
          map(env, token, children[i + 1])
        } catch (error) {
          report(error.message)
        }
      })
    }
  })
}

/**
 * Adds to each cell of a table the text of its column's header, which style.css shows on narrow screens. A header cell
 * without text confuses screen readers, so it becomes a data cell.
 */
export function labelCells(md) {
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
export function pictures(md, pageOf) {
  const fence = md.renderer.rules.fence
  md.renderer.rules.fence = (tokens, i, options, env, self) => {
    const html = fence(tokens, i, options, env, self)
    if (!tokens[i].info.startsWith('mermaid')) return html
    const url = `${repository}/blob/${BRANCH}/${pageOf(env)}`
    return `<p class="picture"><a href="${url}" target="_blank" rel="noreferrer">The code host draws this picture.</a> This is its source:</p>${html}`
  }
}
