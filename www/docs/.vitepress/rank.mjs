/**
 * The order of search results, and the excerpt of each. VitePress takes functions for this, but passes them to the page as text and evaluates it,
 * which the site's policy refuses. `repairs.mjs` therefore lets the search box import this file.
 */

import { MARK } from '../search-words.mjs'

/** The characters of an excerpt before the first word that was found, and from there on. */
const BEFORE = 40
const AFTER = 120

/** The maximum number of results on one page, so that a page with many headings does not hide others. */
const PER_PAGE = 3

/** Words that say nothing about the page that somebody looks for. */
const STOP_WORDS = new Set(
  'a an and are can do does for from how i in is it its my of on or own the there to what when where which why with'.split(
    ' ',
  ),
)

/** Returns a text without words that say nothing, or the whole text if it has no others. */
function withoutStopWords(text) {
  const words = text.split(/\s+/).filter((word) => !STOP_WORDS.has(word.toLowerCase()))
  return words.length ? words.join(' ') : text
}

/**
 * Returns MiniSearch's options. Short words match whole words only, so that PAR does not find Parcel.
 *
 * @param {string[]} later The beginnings of paths whose results come after others.
 */
export const searchOptions = (later) => ({
  fuzzy: (word) => (word.length > 4 ? 0.2 : false),
  prefix: (word) => word.length > 3,
  boostDocument: (id) => (later.some((path) => id.startsWith(path)) ? 0.3 : 1),
})

/**
 * Returns the results for a text, each with its excerpt: first those with all of its words.
 *
 * @param {import('minisearch').default} index
 * @param {string} text
 */
export function rank(index, text) {
  const words = withoutStopWords(text)
  const all = index.search(words, { combineWith: 'AND' })
  const found = new Set(all.map(({ id }) => id))
  const results = [...all, ...index.search(words).filter(({ id }) => !found.has(id))]
  const counts = new Map()
  const shown = results.filter(({ id }) => {
    const [page] = id.split('#')
    counts.set(page, (counts.get(page) ?? 0) + 1)
    return counts.get(page) <= PER_PAGE
  })
  return shown.map((result) => ({ ...result, excerpt: excerptOf(result) }))
}

/** Matches text that is in the index for the search only. */
const HIDDEN = new RegExp(`${MARK}[^${MARK}]*${MARK}`, 'g')

/**
 * Returns an excerpt of a result's section around the first word that was found. Without such a word in the text, the
 * excerpt is its beginning.
 *
 * @param {{ text: string, terms: string[] }} result
 */
export function excerptOf({ text, terms }) {
  const shown = text.replace(HIDDEN, '').replace(/\s+/g, ' ').trim()
  const first = terms.length ? shown.search(new RegExp(`\\b(${terms.map(escaped).join('|')})`, 'i')) : -1
  const start = first > BEFORE ? shown.lastIndexOf(' ', first - BEFORE) + 1 : 0
  const end = shown.lastIndexOf(' ', Math.max(first, 0) + AFTER)
  const isWhole = shown.length <= Math.max(first, 0) + AFTER || end <= start
  return `${start ? '… ' : ''}${shown.slice(start, isWhole ? undefined : end)}${isWhole ? '' : ' …'}`
}

const escaped = (term) => term.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
