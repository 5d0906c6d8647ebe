/**
 * The header of the site above the demo and the playground, which are pages of their own, with policies of their own. This
 * script runs before the page is shown, so that the page has the chosen colors from the start.
 */

/** The key of `localStorage` at which VitePress keeps the theme: `light`, `dark` or `auto`. */
const CHOSEN = 'vitepress-theme-appearance'

/** The site's page that opens its search. */
const SEARCH = '../documents?search'

const root = document.documentElement
const system = matchMedia('(prefers-color-scheme: dark)')

/** The choice on this page, which counts if the browser blocks the site's storage. */
let latest: string | null = null

function chosen(): string | null {
  try {
    return localStorage.getItem(CHOSEN)
  } catch {
    return latest
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
  const matchesSystem = (wanted === 'dark') === system.matches
  latest = matchesSystem ? 'auto' : wanted
  try {
    localStorage.setItem(CHOSEN, latest)
  } catch {
    // Other pages keep the system's colors.
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
    (event.key === '/' && !event.ctrlKey && !event.altKey && !event.metaKey && !isTyping(event))
  if (!isSearch) return
  event.preventDefault()
  location.assign(SEARCH)
})
