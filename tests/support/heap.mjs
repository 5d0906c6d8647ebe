/**
 * Reads the JavaScript heap of a page from outside: every string, and the bytes of all buffers that the DevTools
 * protocol can reach.
 *
 * Start the browser with HEAP_ARGS, or V8 truncates long strings in its snapshots.
 */
export const HEAP_ARGS = ['--js-flags=--heap-snapshot-string-limit=1000000000']

/** Constructors of objects that hold bytes. */
const BUFFERS =
  /^(ArrayBuffer|SharedArrayBuffer|DataView|Blob|File|(Big)?(Int|Uint|Float)\d+(Clamped)?Array)$/

/** Expressions for the prototypes of objects that hold bytes. */
const PROTOTYPES = [
  'ArrayBuffer.prototype',
  'globalThis.SharedArrayBuffer?.prototype',
  'Object.getPrototypeOf(Uint8Array.prototype)',
  'DataView.prototype',
  'Blob.prototype',
]

/**
 * Names of the engine's internal objects. The DevTools protocol gives no access to these objects, or to others through
 * them.
 */
const INTERNAL = /^(blink|cppgc|v8)::/

/**
 * The most steps from an object that the DevTools protocol can retrieve to a buffer that it cannot retrieve directly.
 */
const MAX_STEPS = 8

/**
 * @param {import('playwright-core').CDPSession} cdp
 * @returns {Promise<{ strings: string[], buffers: string[], unread: string[] }>} The buffers are converted to strings
 *   as Latin-1. `unread` lists the locations of buffers that only the engine itself can reach.
 */
export async function readHeap(cdp) {
  const graph = readGraph(JSON.parse(await takeSnapshot(cdp)))
  const walker = new Walker(cdp)
  await walker.retrieve(graph.nodes)
  const buffers = []
  const unread = []
  for (const node of graph.nodes.filter(
    ({ type, name }) => BUFFERS.test(name) && /object|native/.test(type),
  )) {
    const bytes = await walker.read(node)
    if (bytes) buffers.push(...bytes)
    else if (!isPrototype(node)) unread.push(walker.whereabouts(node))
  }
  return { strings: graph.strings, buffers, unread }
}

const isPrototype = ({ holders }) => holders.some(({ name }) => name === 'prototype')

async function takeSnapshot(cdp) {
  const chunks = []
  cdp.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk))
  await cdp.send('HeapProfiler.enable')
  await cdp.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false })
  return chunks.join('')
}

/** Converts the numbers in the snapshot to nodes. Each node lists the nodes that refer to it. */
function readGraph({ snapshot: { meta }, nodes: flatNodes, edges: flatEdges, strings }) {
  const reader = (fields) => Object.fromEntries(fields.map((field, index) => [field, index]))
  const N = reader(meta.node_fields)
  const E = reader(meta.edge_fields)
  const nodes = []
  for (let at = 0; at < flatNodes.length; at += meta.node_fields.length) {
    const type = meta.node_types[N.type][flatNodes[at + N.type]]
    const name = strings[flatNodes[at + N.name]]
    nodes.push({ type, name, id: flatNodes[at + N.id], edges: flatNodes[at + N.edge_count], holders: [] })
  }
  let at = 0
  for (const from of nodes) {
    for (let count = from.edges; count > 0; count--, at += meta.edge_fields.length) {
      const type = meta.edge_types[E.type][flatEdges[at + E.type]]
      const label = flatEdges[at + E.name_or_index]
      const name = type === 'element' || type === 'hidden' ? label : strings[label]
      nodes[flatEdges[at + E.to_node] / meta.node_fields.length].holders.push({ from, type, name })
    }
  }
  return { nodes, strings }
}

/**
 * Retrieves objects in three ways. The engine finds the page's buffers by their prototypes. The DevTools protocol
 * returns most other objects by their number in the snapshot. The remaining objects are reached through the objects
 * that refer to them.
 */
class Walker {
  #cdp
  #handles = new Map()
  #refused = new Set()

  constructor(cdp) {
    this.#cdp = cdp
  }

  /**
   * Retrieves the buffers among `nodes`. Buffers are requested together by their prototypes, because each request for a
   * single object makes the engine search its whole heap.
   */
  async retrieve(nodes) {
    const byId = new Map(nodes.map((node) => [String(node.id), node]))
    for (const expression of PROTOTYPES) {
      const { result: prototype } = await this.#cdp.send('Runtime.evaluate', { expression })
      if (!prototype.objectId) continue
      const { objects } = await this.#cdp.send('Runtime.queryObjects', {
        prototypeObjectId: prototype.objectId,
      })
      const { result } = await this.#properties(objects.objectId)
      const found = result.flatMap(({ value }) => value?.objectId ?? [])
      await Promise.all(found.map((objectId) => this.#assign(objectId, byId)))
    }
  }

  async #assign(objectId, byId) {
    const { heapSnapshotObjectId } = await this.#cdp.send('HeapProfiler.getHeapObjectId', { objectId })
    const node = byId.get(heapSnapshotObjectId)
    if (node) this.#handles.set(node, objectId)
  }

  /** Resolves with the bytes of the buffers at `node`, or with undefined if the protocol cannot reach them. */
  async read(node) {
    const handle = await this.#handle(node, new Set())
    return handle && (await this.#call(handle, readBytes, [], true))
  }

  whereabouts({ name, holders }) {
    return `${name} held by ${holders.map(({ from, type, name: as }) => `${from.name} (${type} ${as})`).join(', ')}`
  }

  /**
   * Resolves with a handle for a node, or with undefined if the protocol cannot reach the node. `path` contains the
   * nodes on the way to this node, so that the search does not run in circles.
   */
  async #handle(node, path) {
    if (path.has(node) || path.size === MAX_STEPS || INTERNAL.test(node.name)) return undefined
    const known = this.#handles.get(node) ?? (await this.#direct(node))
    if (known) return known
    const longer = new Set(path).add(node)
    for (const holder of node.holders) {
      const handle = await this.#from(holder, longer)
      if (handle) return handle
    }
    return undefined
  }

  async #direct(node) {
    // Each request makes the engine search its whole heap. Only nodes of types that can have a handle are therefore
    // requested, and each node only once.
    if (this.#refused.has(node) || !/object|native|closure/.test(node.type)) return undefined
    this.#refused.add(node)
    const answer = await this.#cdp
      .send('HeapProfiler.getObjectByHeapObjectId', { objectId: String(node.id) })
      .catch(() => undefined)
    const handle = answer?.result.objectId
    if (handle) this.#handles.set(node, handle)
    return handle
  }

  /** Resolves with a handle for the object to which an edge leads, or for all entries of a Map or Set. */
  async #from({ from, type, name }, path) {
    if (type === 'property' || type === 'element') {
      const handle = await this.#handle(from, path)
      return handle && this.#call(handle, member, [name])
    }
    if (type === 'context') return this.#fromScope(from, name, path)
    if (name === 'buffer' || name === 'reactions_or_result') {
      const handle = await this.#handle(from, path)
      return handle && this.#call(handle, name === 'buffer' ? member : settled, [name])
    }
    const table = from.holders.find(
      (holder) => holder.name === 'table' && /^(Map|Set)$/.test(holder.from.name),
    )
    const handle = table && (await this.#handle(table.from, path))
    return handle && this.#call(handle, entries)
  }

  /** Reads a variable through a function whose scope contains the variable. */
  async #fromScope(scope, name, path) {
    if (path.has(scope)) return undefined
    const longer = new Set(path).add(scope)
    for (const { from, name: as } of scope.holders) {
      const value =
        from.type === 'closure' && as === 'context'
          ? await this.#variable(from, name)
          : as === 'previous' && (await this.#fromScope(from, name, longer))
      if (value) return value
    }
    return undefined
  }

  async #variable(closure, name) {
    const handle = this.#handles.get(closure) ?? (await this.#direct(closure))
    const { internalProperties = [] } = handle ? await this.#properties(handle) : {}
    const scopes = internalProperties.find((property) => property.name === '[[Scopes]]')
    const list = scopes ? (await this.#properties(scopes.value.objectId)).result : []
    for (const scope of list.filter(({ value }) => value?.objectId)) {
      const { result } = await this.#properties(scope.value.objectId)
      const found = result.find((property) => property.name === name)?.value?.objectId
      if (found) return found
    }
    return undefined
  }

  #properties(objectId) {
    return this.#cdp.send('Runtime.getProperties', { objectId, ownProperties: true })
  }

  async #call(objectId, declaration, values = [], returnByValue = false) {
    const { result } = await this.#cdp.send('Runtime.callFunctionOn', {
      objectId,
      functionDeclaration: String(declaration),
      arguments: values.map((value) => ({ value })),
      awaitPromise: true,
      returnByValue,
    })
    return returnByValue ? result.value : result.objectId
  }
}

// The following functions run in the page.

function member(name) {
  return this[name]
}

/** Resolves with the value of a fulfilled promise, or with null if the promise is pending. `#call` awaits this. */
function settled() {
  return Promise.race([this, null])
}

function entries() {
  return [...this].flat()
}

async function readBytes() {
  const bytesOf = async (value) => {
    if (value instanceof Blob) return new Uint8Array(await value.arrayBuffer())
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer)
    return new Uint8Array(value)
  }
  const isBuffer = (value) =>
    value instanceof Blob ||
    ArrayBuffer.isView(value) ||
    /ArrayBuffer\]$/.test(Object.prototype.toString.call(value))
  const read = async (buffer) => {
    // A prototype is not a buffer, and reading its bytes throws.
    const bytes = await bytesOf(buffer).catch(() => [])
    let text = ''
    for (let at = 0; at < bytes.length; at += 0x8000) {
      text += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
    }
    return text
  }
  return Promise.all((Array.isArray(this) ? this : [this]).filter(isBuffer).map(read))
}
