/**
 * Repairs the roles in the theme's search box. Its root has the role of a button although it contains controls, its
 * results are options that contain links, each link's label differs from its text, and its keys have labels without a
 * role.
 */
const REPAIRS = [
  [
    /role="button"\s+:aria-owns="[^"]*"\s+aria-expanded="true"\s+aria-haspopup="listbox"/,
    'role="dialog" aria-modal="true"',
  ],
  [/(class="search-input")/, '$1 role="combobox" :aria-expanded="results?.length ? \'true\' : \'false\'"'],
  [/:id="'localsearch-item-' \+ index"\s+:aria-selected="[^"]*"\s+role="option"/, 'role="none"'],
  [
    /:aria-label="\[\.\.\.p\.titles, p\.title\]\.join\(' > '\)"/,
    `:id="'localsearch-item-' + index" :aria-selected="selectedIndex === index ? 'true' : 'false'" role="option"`,
  ],
  [/<kbd :aria-label/, '<kbd role="img" :aria-label'],
]

/** Returns the source of the search box with the repairs. A newer VitePress may need others. */
export function repair(source) {
  return REPAIRS.reduce((text, [pattern, replacement]) => {
    if (!pattern.test(text)) throw new Error(`VitePress's search box has changed: ${pattern} is not in it`)
    return text.replace(new RegExp(pattern, 'g'), replacement)
  }, source)
}

/** A plugin of Vite that repairs the search box before it is compiled. */
export const accessibleSearch = {
  name: 'accessible-search',
  enforce: 'pre',
  transform: {
    filter: { id: /VPLocalSearchBox\.vue$/ },
    handler: (source) => ({ code: repair(source), map: null }),
  },
}
