/**
 * Visits what script can reach: own and inherited properties, the entries of maps and sets, the source of functions,
 * and buffers. The search is breadth-first and begins at the given roots. Script cannot reach variables in closures,
 * and neither can this search. The project's tests search the whole heap with a debugger.
 *
 * The walk runs no getter of the page, because a getter may change something: it reads the values of data properties, and
 * counts the accessors that it does not read. It reads some accessors of the platform, by the platform's own functions.
 * Script cannot recognize a proxy, so the traps of proxies run.
 */
import { isNative, reader } from './native.js'

export interface Walk {
  objects: number
  /** The accessors of the page, which were not read. */
  accessors: number
  /** The paths of the first accessors. */
  unread: string[]
  /** True if the limit was reached. */
  cut: boolean
}

export interface WalkOptions {
  /** Stops after this many objects. */
  limit?: number
  /** Called with each string and its path. Returns true to stop. */
  onText: (text: string, path: () => string) => boolean | void
  /** The windows of the values. */
  realms?: readonly Window[]
}

interface Visit {
  value: object
  key: string
  parent: Visit | null
}

type Reach = (value: unknown, key: string) => void

const MAX_BUFFER_BYTES = 1_000_000
const SLICE_MS = 12
const LISTED_ACCESSORS = 20

/** Visits all values. */
export async function walk(
  roots: Iterable<readonly [string, unknown]>,
  { limit = 10_000, onText, realms = [window] }: WalkOptions,
): Promise<Walk> {
  const readers = contentReaders(realms)
  const seen = new WeakSet<object>()
  const queue: Visit[] = []
  const found: Walk = { objects: 0, accessors: 0, unread: [], cut: false }
  let isStopped = false

  const reach = (value: unknown, key: string, parent: Visit | null) => {
    if (typeof value === 'string') {
      if (onText(value, () => pathOf({ value: {}, key, parent }))) isStopped = true
      return
    }
    const isObject = typeof value === 'object' || typeof value === 'function'
    if (!isObject || value === null || seen.has(value)) return
    seen.add(value)
    queue.push({ value, key, parent })
  }
  const onAccessor = (key: string, parent: Visit) => {
    found.accessors++
    if (found.unread.length < LISTED_ACCESSORS) found.unread.push(pathOf({ value: {}, key, parent }))
  }

  for (const [name, root] of roots) reach(root, name, null)
  let sliceEnd = performance.now() + SLICE_MS
  for (; found.objects < queue.length && found.objects < limit && !isStopped; found.objects++) {
    const from = queue[found.objects] as Visit
    visit(
      from.value,
      readers,
      (value, key) => reach(value, key, from),
      (key) => onAccessor(key, from),
    )
    if (performance.now() < sliceEnd) continue
    await new Promise((resolve) => setTimeout(resolve))
    sliceEnd = performance.now() + SLICE_MS
  }
  found.cut = found.objects < queue.length && !isStopped
  return found
}

function visit(value: object, readers: Readers, reach: Reach, onAccessor: (key: string) => void): void {
  if (ArrayBuffer.isView(value)) {
    return attempt(() => reach(decode(value.buffer, value.byteOffset, value.byteLength), '(bytes)'))
  }
  attempt(() => {
    if (typeof value === 'function') reach(Function.prototype.toString.call(value), '(source)')
    else readContent(value, readers, reach)
  })
  attempt(() => {
    for (const key of Reflect.ownKeys(value)) {
      const name = String(key)
      reach(name, `name of ${name.slice(0, 12)}…`)
      attempt(() => {
        const property = Reflect.getOwnPropertyDescriptor(value, key)
        if (!property) return
        if ('value' in property) reach(property.value, name)
        else if (property.get && !isNative(property.get, nameOf(key))) onAccessor(name)
      })
    }
    reach(Reflect.getPrototypeOf(value), '(prototype)')
  })
}

/** Returns the name that the platform gives to the getter of a property. */
const nameOf = (key: string | symbol): string => (typeof key === 'symbol' ? `[${key.description}]` : key)

type Readers = Map<object, (value: object, reach: Reach) => void>

/** Reads the contents of an object that are not properties. */
function readContent(value: object, readers: Readers, reach: Reach): void {
  for (let type = Reflect.getPrototypeOf(value); type; type = Reflect.getPrototypeOf(type)) {
    const read = readers.get(type)
    if (read) return attempt(() => read(value, reach))
  }
}

const members = (type: string, ...names: string[]) => {
  const readers = names.map((name) => [name, reader(type, name)] as const)
  return (value: object, reach: Reach) => {
    for (const [name, read] of readers) reach(read(value), name)
  }
}

/** Reads a list of pairs of strings: headers, parameters and forms. */
const pairs = (type: 'Headers' | 'URLSearchParams' | 'FormData') => (value: object, reach: Reach) => {
  globalThis[type].prototype.forEach.call(value as never, (entry: unknown, name: string) => {
    reach(name, '(name)')
    reach(entry, name)
  })
}

/** Objects of the platform whose content is not in their properties. Each engine lacks some of them. */
const CONTENT: Record<string, (value: any, reach: Reach) => void> = {
  Map(value, reach) {
    Map.prototype.forEach.call(value, (entry, key) => {
      reach(key, '(key)')
      reach(entry, typeof key === 'string' ? `get(${key.slice(0, 20)})` : '(entry)')
    })
  },
  Set(value, reach) {
    Set.prototype.forEach.call(value, (entry) => reach(entry, '(member)'))
  },
  ArrayBuffer: (value, reach) => reach(decode(value, 0), '(bytes)'),
  Headers: pairs('Headers'),
  URLSearchParams: pairs('URLSearchParams'),
  FormData: pairs('FormData'),
  URL: members('URL', 'href'),
  Request: members('Request', 'url', 'headers'),
  Response: members('Response', 'url', 'headers'),
  MessageEvent: members('MessageEvent', 'data'),
  CustomEvent: members('CustomEvent', 'detail'),
  Error: members('Error', 'stack'),
}

/** Returns the readers by the prototypes of the given windows, because each window has prototypes of its own. */
function contentReaders(realms: readonly Window[]): Readers {
  const readers: Readers = new Map()
  for (const realm of realms) {
    for (const [type, read] of Object.entries(CONTENT)) {
      const prototype = dataOf(dataOf(realm, type), 'prototype')
      if (prototype) readers.set(prototype, read)
    }
  }
  return readers
}

function dataOf(object: object | undefined, key: string): object | undefined {
  return object && Reflect.getOwnPropertyDescriptor(object, key)?.value
}

function decode(buffer: ArrayBufferLike, offset: number, length = buffer.byteLength): string {
  const bytes = new Uint8Array(buffer, offset, Math.min(length, MAX_BUFFER_BYTES))
  // A decoder refuses shared memory.
  return new TextDecoder('latin1').decode(bytes.slice())
}

/** Calls a function that may throw anything, such as the trap of a proxy. */
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
