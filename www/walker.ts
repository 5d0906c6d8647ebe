/**
 * Visits what script can reach: own and inherited properties, the entries of maps and sets, the source of functions,
 * and buffers. The search is breadth-first and begins at the given roots. Script cannot reach variables in closures,
 * and neither can this search. The project's tests search the whole heap with a debugger.
 */

export interface Counts {
  objects: number
  strings: number
}

export interface WalkOptions {
  /** Stops after this many objects. */
  limit: number
  /** Called with each string and its path. */
  onText: (text: string, path: () => string) => void
}

interface Visit {
  value: object
  key: string
  parent: Visit | null
}

/** Properties that are not read, because reading them has side effects, prints a warning, or leads to another page. */
const LEFT_OUT = new Set([
  'parent',
  'top',
  'opener',
  'frames',
  'frameElement',
  'webkitStorageInfo',
  'external',
])

const MAX_BUFFER_BYTES = 1_000_000
const SLICE_MS = 12

/** Visits all values and returns the numbers of objects and strings. `cut` is true if the limit was reached. */
export async function walk(
  roots: Record<string, unknown>,
  { limit, onText }: WalkOptions,
): Promise<Counts & { cut: boolean }> {
  const seen = new WeakSet<object>()
  const queue: Visit[] = []
  const counts = { objects: 0, strings: 0 }

  const reach = (value: unknown, key: string, parent: Visit | null) => {
    if (typeof value === 'string') {
      counts.strings++
      onText(value, () => pathOf({ value: {}, key, parent }))
      return
    }
    const isObject = typeof value === 'object' || typeof value === 'function'
    if (!isObject || value === null || seen.has(value)) return
    seen.add(value)
    queue.push({ value, key, parent })
  }

  for (const [name, root] of Object.entries(roots)) reach(root, name, null)
  let sliceEnd = performance.now() + SLICE_MS
  let next = 0
  for (; next < queue.length && counts.objects < limit; next++) {
    counts.objects++
    visit(queue[next] as Visit, reach)
    if (performance.now() < sliceEnd) continue
    await new Promise((resolve) => setTimeout(resolve))
    sliceEnd = performance.now() + SLICE_MS
  }
  return { ...counts, cut: next < queue.length }
}

type Reach = (value: unknown, key: string, parent: Visit | null) => void

function visit(from: Visit, reach: Reach): void {
  const { value } = from
  attempt(() => reachContent(from, reach))
  attempt(() => {
    for (const key of Reflect.ownKeys(value)) {
      const name = String(key)
      reach(name, `name of ${name.slice(0, 12)}…`, from)
      if (!LEFT_OUT.has(name)) attempt(() => reach(read(value, key), name, from))
    }
  })
  if (!isShallow(value)) reachInherited(from, reach)
}

/** Visits the contents of an object that are not properties. */
function reachContent(from: Visit, reach: Reach): void {
  const { value } = from
  if (typeof value === 'function') reach(Function.prototype.toString.call(value), '(source)', from)
  else if (value instanceof Map) {
    for (const [key, entry] of value) {
      reach(key, '(key)', from)
      reach(entry, typeof key === 'string' ? `get(${key.slice(0, 20)})` : '(entry)', from)
    }
  } else if (value instanceof Set) for (const entry of value) reach(entry, '(member)', from)
  else if (value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData) {
    reach([...value], '(entries)', from)
  } else if (value instanceof ArrayBuffer) reach(decode(new Uint8Array(value)), '(bytes)', from)
  else if (ArrayBuffer.isView(value)) {
    reach(decode(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)), '(bytes)', from)
  }
}

/** Visits the prototypes of an object, and the values of their getters. */
function reachInherited(from: Visit, reach: Reach): void {
  const { value } = from
  for (let type = prototypeOf(value); type; type = prototypeOf(type)) {
    reach(type, '(prototype)', from)
    if (type === Object.prototype || type === Function.prototype || type === Array.prototype) return
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(type))) {
      if (get && !LEFT_OUT.has(name)) attempt(() => reach(settled(get.call(value)), name, from))
    }
  }
}

function read(value: object, key: PropertyKey): unknown {
  // `reachContent` reads the bytes of a view as a whole.
  if (ArrayBuffer.isView(value)) return undefined
  return settled(Reflect.get(value, key))
}

/** Returns the value. If the value is a promise, its rejection is not reported as unhandled. */
function settled(value: unknown): unknown {
  if (value instanceof Promise) value.catch(() => {})
  return value
}

/**
 * Returns true for objects whose inherited getters are not visited: DOM objects, because the DOM is searched
 * separately, and buffer views.
 */
function isShallow(value: object): boolean {
  return (
    value instanceof Node ||
    value instanceof CSSStyleDeclaration ||
    value instanceof NodeList ||
    value instanceof HTMLCollection ||
    ArrayBuffer.isView(value)
  )
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes.slice(0, MAX_BUFFER_BYTES))
}

function prototypeOf(value: object): object | null {
  return Reflect.getPrototypeOf(value)
}

/** Calls a function that may throw anything, such as a getter or a proxy's trap. */
function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // Ignored, because data that script cannot read cannot leak.
  }
}

function pathOf(visit: Visit): string {
  const keys = []
  for (let at: Visit | null = visit; at; at = at.parent) keys.unshift(at.key)
  return keys.join('.')
}
