/**
 * The order of search results. VitePress takes functions for this, but passes them to the page as text and evaluates it,
 * which the site's policy refuses. `repairs.mjs` therefore lets the search box import this file.
 */

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
 * Returns the results for a text: first those with all of its words.
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
  return results.filter(({ id }) => {
    const [page] = id.split('#')
    counts.set(page, (counts.get(page) ?? 0) + 1)
    return counts.get(page) <= PER_PAGE
  })
}
