/**
 * The header of the site above the demo and the playground, which are pages of their own, with policies of their own. This
 * script runs before the page is shown, so that the page has the chosen colors from the start.
 */

/** The member of `localStorage` in which VitePress keeps the chosen colors: `light`, `dark` or `auto`. */
const CHOSEN = 'vitepress-theme-appearance'

/** The site's page that opens its search. */
const SEARCH = '../documents?search'

const root = document.documentElement
const system = matchMedia('(prefers-color-scheme: dark)')

/** Browsers that block the storage of a site throw when it is read. */
function chosen(): string | null {
  try {
    return localStorage.getItem(CHOSEN)
  } catch {
    return null
  }
}

function isDark(): boolean {
  const choice = chosen()
  return choice === 'dark' || (choice !== 'light' && system.matches)
}

function show(): void {
  root.classList.toggle('dark', isDark())
  root.classList.toggle('light', !isDark())
  document.getElementById('theme')?.setAttribute('aria-pressed', `${isDark()}`)
}

function change(): void {
  const wanted = isDark() ? 'light' : 'dark'
  const isOfSystem = (wanted === 'dark') === system.matches
  try {
    localStorage.setItem(CHOSEN, isOfSystem ? 'auto' : wanted)
  } catch {
    // Without storage, the page keeps the system's colors.
  }
  show()
}

function isTyping({ target }: KeyboardEvent): boolean {
  return target instanceof Element && target.closest('input, textarea, select') !== null
}

show()
system.addEventListener('change', show)
addEventListener('storage', show)
addEventListener('DOMContentLoaded', () => {
  show()
  document.getElementById('theme')?.addEventListener('click', change)
})
addEventListener('keydown', (event) => {
  const isSearch =
    (event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey)) ||
    (event.key === '/' && !isTyping(event))
  if (!isSearch) return
  event.preventDefault()
  location.assign(SEARCH)
})
