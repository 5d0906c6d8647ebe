/** The copy buttons of the sample's files. */
import { el } from './dom.js'

const SHOWN_MILLISECONDS = 5000

export function setUpSample(): void {
  for (const listing of document.querySelectorAll('.listing')) {
    const find = (selector: string) => listing.querySelector<HTMLElement>(selector)!
    const [button, code, status] = [find('button'), find('pre'), find('[role=status]')]
    button.addEventListener('click', () => void copy(code, status))
  }
}

/** Copies the code. If the browser refuses, selects the code, so that the user can copy it. */
async function copy(code: HTMLElement, status: HTMLElement): Promise<void> {
  // A screen reader announces the same text again only if it was removed in between.
  status.replaceChildren()
  let message = 'Copied'
  try {
    await navigator.clipboard.writeText(code.textContent)
  } catch {
    code.focus()
    getSelection()?.selectAllChildren(code)
    message = 'The browser did not allow copying. The lines are selected: press Ctrl+C or ⌘C.'
  }
  const shown = el('span', {}, message)
  status.replaceChildren(shown)
  setTimeout(() => shown.remove(), SHOWN_MILLISECONDS)
}
