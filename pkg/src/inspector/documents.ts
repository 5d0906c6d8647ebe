/** Finds the page's documents, open shadow roots and frames, and reads their contents. */
import { reader } from './native.js'

export interface Item {
  where: string
  value: unknown
}

/** Everything of this page that has a tree. */
export interface Scope {
  /** The window of this page, and those of its frames of the same origin. */
  windows: Window[]
  document: Item[]
  shadowRoots: Item[]
  /** Nodes to which script has added properties, as frameworks do. */
  expandos: [string, Node][]
  /** The parts that this search cannot reach, in a few words each. */
  unreachable: string[]
}

const shadowRootOf = reader<ShadowRoot | null>('Element', 'shadowRoot')
const localNameOf = reader<string>('Element', 'localName')
const attributesOf = reader<NamedNodeMap>('Element', 'attributes')
const nodeValueOf = reader<string | null>('Node', 'nodeValue')
const nodeTypeOf = reader<number>('Node', 'nodeType')
const viewOf = reader<Window | null>('Document', 'defaultView')
const contentOf = reader<DocumentFragment>('HTMLTemplateElement', 'content')

/** Properties with the content of an element that its attributes and text do not have, by the element's name. */
const VALUES: Record<string, (element: object) => string | undefined> = {
  input: reader<string>('HTMLInputElement', 'value'),
  textarea: reader<string>('HTMLTextAreaElement', 'value'),
}

/** Functions that return the document inside an element; `null` if its origin differs. */
const FRAMES: Record<string, (element: object) => Document | null | undefined> = {
  iframe: reader<Document | null>('HTMLIFrameElement', 'contentDocument'),
  frame: reader<Document | null>('HTMLFrameElement', 'contentDocument'),
  object: reader<Document | null>('HTMLObjectElement', 'contentDocument'),
}

/** Reads the document, its shadow roots and its frames. */
export function readScope(): Scope {
  const scope: Scope = { windows: [window], document: [], shadowRoots: [], expandos: [], unreachable: [] }
  const closed = new Set<string>()
  readTree(document, 'document', scope, scope.document, closed)
  if (closed.size) {
    // Script cannot see if an element has a closed shadow root.
    scope.unreachable.push(`closed shadow roots, if these elements have any: ${[...closed].join(', ')}`)
  }
  return scope
}

function readTree(root: Node, name: string, scope: Scope, items: Item[], closed: Set<string>): void {
  const nodes = document.createTreeWalker(root)
  for (let node: Node | null = root; node; node = nodes.nextNode()) {
    const text = nodeValueOf(node)
    if (text) items.push({ where: `text of ${name}`, value: text })
    if (nodeTypeOf(node) === Node.ELEMENT_NODE) readElement(node as Element, name, scope, items, closed)
    else if (Reflect.ownKeys(node).length) scope.expandos.push([name, node])
  }
}

function readElement(element: Element, name: string, scope: Scope, items: Item[], closed: Set<string>): void {
  const tag = localNameOf(element) ?? ''
  const where = name === 'document' ? tag : `${name} ${tag}`
  for (const { name, value } of attributesOf(element) ?? []) {
    items.push({ where: `${where} ${name}`, value })
  }
  const value = attempt(() => VALUES[tag]?.(element))
  if (value) items.push({ where: `${where} value`, value })
  if (Reflect.ownKeys(element).length) scope.expandos.push([where, element])
  const shadow = shadowRootOf(element)
  if (shadow) readTree(shadow, `shadow root of ${tag}`, scope, scope.shadowRoots, closed)
  else if (tag.includes('-')) closed.add(tag)
  const template = tag === 'template' && attempt(() => contentOf(element))
  if (template) readTree(template, where, scope, items, closed)
  if (Object.hasOwn(FRAMES, tag)) readFrame(element, tag, scope, closed)
}

function readFrame(element: Element, tag: string, scope: Scope, closed: Set<string>): void {
  const inner = attempt(() => FRAMES[tag]?.(element))
  const view = inner && viewOf(inner)
  if (!view) {
    // An `object` may also show an image.
    if (tag !== 'object') scope.unreachable.push(`a frame of another origin${originOf(element)}`)
    return
  }
  scope.windows.push(view)
  readTree(inner, `frame ${scope.windows.length - 1}`, scope, scope.document, closed)
}

function originOf(element: Element): string {
  const url = URL.parse(attributesOf(element)?.getNamedItem('src')?.value ?? '', location.href)
  return url && url.origin !== 'null' && url.origin !== location.origin
    ? `: ${url.origin}`
    : ' or a sandboxed one'
}

/** Returns `undefined` if the action throws, as the platform's getters do for an element of another kind. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}
