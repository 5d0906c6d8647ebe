/** Creates and finds elements. Strings never become markup. */

type Child = Node | string
type Properties = Record<string, string | boolean>

/** Creates an element: `el('p', { class: 'note' }, 'text')`. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

/** Returns the element with this id. Throws if the page has no such element. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id)
  if (!element) throw new Error(`index.html has no element with the id ${id}`)
  return element as T
}

/** Runs `listener` when the element with this id is clicked. */
export function onClick(id: string, listener: () => void): void {
  byId(id).addEventListener('click', listener)
}

/** Returns a list of terms and descriptions. */
export function terms(rows: [string, Child][]): HTMLDListElement {
  const list = el('dl', { class: 'terms' })
  for (const [term, description] of rows) list.append(el('dt', {}, term), el('dd', {}, description))
  return list
}

export function code(text: string): HTMLElement {
  return el('code', {}, text)
}

/**
 * Replaces an element's content only if it would look different, so that a selection or a screen reader's position is
 * not lost every second.
 */
export function replace(element: HTMLElement, ...children: Child[]): void {
  const next = el('div', {}, ...children)
  if (next.innerHTML === element.innerHTML) return
  element.replaceChildren(...next.childNodes)
}
