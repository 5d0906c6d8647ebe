/** Creates elements. Strings never become markup. */

export type Child = Node | string
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

/** Creates a button that calls `action`. */
export function button(label: string, action: () => unknown, attributes: Properties = {}): HTMLButtonElement {
  const element = el('button', { type: 'button', ...attributes }, label)
  element.addEventListener('click', () => void action())
  return element
}

export function code(text: string): HTMLElement {
  return el('code', {}, text)
}

/** Returns a list of terms and descriptions. */
export function terms(rows: [string, Child][]): HTMLDListElement {
  const list = el('dl', { class: 'terms' })
  for (const [term, description] of rows) list.append(el('dt', {}, term), el('dd', {}, description))
  return list
}

/**
 * Replaces an element's content only if it would differ, so that a selection or a screen reader's position is not lost
 * every second.
 */
export function replace(element: HTMLElement, ...children: Child[]): void {
  const next = el('div', {}, ...children)
  const nodes = [...next.childNodes]
  const isSame =
    nodes.length === element.childNodes.length &&
    nodes.every((node, index) => node.isEqualNode(element.childNodes[index] as Node))
  if (!isSame) element.replaceChildren(...nodes)
}
