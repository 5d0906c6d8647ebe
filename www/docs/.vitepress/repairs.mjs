/**
 * Repairs of VitePress's own files. Each one names the text that it replaces, so that a newer VitePress in which this text
 * has changed fails the build.
 *
 * - The search box: its root has the role of a button although it contains controls, its results are options that contain
 *   links, each link's label differs from its text, and its keys have labels without a role.
 * - The order of its results, and their excerpts: see rank.mjs. VitePress's own excerpts load and render each page.
 * - The button that copies code: it writes to `innerHTML`, which Trusted Types refuse.
 */
import { fileURLToPath } from 'node:url'

const RANK = fileURLToPath(new URL('./rank.mjs', import.meta.url)).replaceAll('\\', '/')

const REPAIRS = {
  'VPLocalSearchBox.vue': [
    [
      /role="button"\s+:aria-owns="[^"]*"\s+aria-expanded="true"\s+aria-haspopup="listbox"/,
      'role="dialog" aria-modal="true"',
    ],
    [
      /class="search-input"/,
      `class="search-input" role="combobox" :aria-expanded="results?.length ? 'true' : 'false'"`,
    ],
    [/:id="'localsearch-item-' \+ index"\s+:aria-selected="[^"]*"\s+role="option"/, 'role="none"'],
    [
      /:aria-label="\[\.\.\.p\.titles, p\.title\]\.join\(' > '\)"/,
      `:id="'localsearch-item-' + index" :aria-selected="selectedIndex === index ? 'true' : 'false'" role="option"`,
    ],
    [/<kbd :aria-label/, '<kbd role="img" :aria-label'],
    [/<script setup>/, `<script setup>\nimport { rank, searchOptions } from '${RANK}'`],
    [
      /<div v-if="showDetailedList" class="excerpt-wrapper">[^]*?<div class="excerpt-gradient-top" \/>\s*<\/div>/,
      // The search box marks the words itself. It changes the text's nodes, so Vue must replace them as a whole.
      '<p class="result-excerpt" v-text="p.excerpt"></p>',
    ],
    [/fuzzy: \.2,\s+prefix: true,/, '...searchOptions(theme.value.search.options.later),'],
    [/index\.search\(filterTextValue\)/, 'rank(index, filterTextValue)'],
  ],
  'composables/copyCode.js': [
    [/clone\.innerHTML = clone\.innerHTML\.replace\(.*?\);/, ''],
    [
      /let text = clone\.textContent \|\| "";/,
      'let text = (clone.textContent || "").replace(/\\n+/g, "\\n");',
    ],
  ],
}

/** Returns the source of a file with its repairs. */
export function repair(file, source) {
  return REPAIRS[file].reduce((text, [pattern, replacement]) => {
    if (!pattern.test(text)) throw new Error(`${file} of VitePress has changed: ${pattern} is not in it`)
    return text.replace(new RegExp(pattern, 'g'), () => replacement)
  }, source)
}

/** Plugins of Vite that repair the files before they are compiled. */
export const repairs = Object.keys(REPAIRS).map((file) => ({
  name: `repair ${file}`,
  enforce: 'pre',
  transform: {
    filter: { id: new RegExp(`vitepress/dist/client/.*${file.replace('.', '\\.')}$`) },
    handler: (source) => ({ code: repair(file, source), map: null }),
  },
}))
