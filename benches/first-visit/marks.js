/**
 * Records what the page and its worker do, and when: waterfall.mjs. Only the builds of the waterfall import this file,
 * before everything else. It replaces functions of the platform by functions that note the time and do the same.
 *
 * @typedef {{ label: string, start: number, end?: number }} Span Times are in milliseconds since the Unix epoch, so that
 *   those of different threads can be compared. A moment has the same start and end.
 */

/** @type {Span[]} */
const spans = []
const thread = 'document' in globalThis ? 'page' : 'worker'
const now = () => performance.timeOrigin + performance.now()

/** Begins a span. Returns a function that ends it. */
const begin = (label) => {
  const span = { label: `${thread}: ${label}`, start: now() }
  spans.push(span)
  return () => (span.end ??= now())
}
const note = (label) => begin(label)()

/** Ends a span when the operation that returned `result` has completed. */
const endWith = (result, done) => {
  if (result instanceof Promise) result.then(done, done)
  else if (result instanceof IDBRequest || result instanceof IDBTransaction) {
    for (const type of ['success', 'error', 'complete', 'abort']) result.addEventListener(type, done)
  } else done()
}

/**
 * Records the calls of a function. `labelOf` returns the label of a call, or `undefined` if the call does not matter.
 */
const watch = (object, name, labelOf) => {
  const record = (labelled, call) => {
    if (!labelled) return call()
    const done = begin(labelled)
    const result = call()
    endWith(result, done)
    return result
  }
  object[name] = new Proxy(object[name], {
    apply: (target, self, args) => record(labelOf(args, self), () => Reflect.apply(target, self, args)),
    construct: (target, args, newTarget) =>
      record(labelOf(args), () => Reflect.construct(target, args, newTarget)),
  })
}

/** The last part of a URL's path, without the hash in the name. */
const fileOf = (input) =>
  new URL(input.url ?? input, location.href).pathname
    .split('/')
    .at(-1)
    .replace(/-[\w-]{8}\./, '.')

/** The type of a message between page and vault. */
const typeOf = (data) => /^\{"t":"(\w+)"|"t":"(\w+)"/.exec(Array.isArray(data) ? data[0] : '')

note('first line')
watch(globalThis, 'fetch', ([input]) => `fetch ${fileOf(input)}`)
for (const name of [
  'compile',
  'compileStreaming',
  'Module',
  'Instance',
  'instantiate',
  'instantiateStreaming',
]) {
  watch(WebAssembly, name, () => `WebAssembly.${name}`)
}
watch(IDBFactory.prototype, 'open', () => 'IndexedDB: open')
watch(
  IDBDatabase.prototype,
  'transaction',
  ([stores, mode = 'readonly']) => `IndexedDB: ${mode} ${[stores].flat()}`,
)
for (const name of ['get', 'getAll', 'put', 'add', 'delete']) {
  watch(IDBObjectStore.prototype, name, (_, store) => `IndexedDB: ${name} ${store.name}`)
}
for (const name of Object.getOwnPropertyNames(SubtleCrypto.prototype)) {
  if (name !== 'constructor') watch(SubtleCrypto.prototype, name, () => `crypto.subtle.${name}`)
}
if (globalThis.SharedWorker) watch(globalThis, 'SharedWorker', () => 'new SharedWorker')

watch(MessagePort.prototype, 'postMessage', ([data]) => {
  const type = typeOf(data)
  return type && `sends ${type[1] ?? type[2]}`
})
const { set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage')
const listened = new WeakSet()
Object.defineProperty(MessagePort.prototype, 'onmessage', {
  set(listener) {
    if (!listened.has(this)) {
      this.addEventListener('message', ({ data }) => {
        const type = typeOf(data)
        if (type) note(`receives ${type[1] ?? type[2]}`)
      })
      listened.add(this)
    }
    set.call(this, listener)
  },
})

// The time from the request for a lock until it is granted. Some requests wait for the end of another page or worker.
const { request } = LockManager.prototype
LockManager.prototype.request = function (...args) {
  const granted = args.pop()
  const span = { label: `${thread}: waits for a Web Lock`, start: now() }
  return request.call(this, ...args, (lock) => {
    spans.push({ ...span, end: now() })
    return granted(lock)
  })
}

/** The worker sends its spans when the page asks for them, after the measurement. */
const channel = new BroadcastChannel('marks')
if (thread === 'worker') {
  channel.onmessage = ({ data }) => data === 'spans?' && channel.postMessage(spans)
} else {
  let hasWorker = false
  watch(globalThis, 'SharedWorker', () => void (hasWorker = true))
  const ofWorker = () =>
    new Promise((resolve) => {
      channel.onmessage = ({ data }) => Array.isArray(data) && resolve(data)
      channel.postMessage('spans?')
    })
  const send = navigator.sendBeacon.bind(navigator)
  /** Adds the spans to the report of the page. */
  navigator.sendBeacon = (url, body) => {
    const { value: end, error } = JSON.parse(body)
    const add = async () => {
      const [{ requestStart }] = performance.getEntriesByType('navigation')
      const { timeOrigin } = performance
      const all = [...spans, ...(hasWorker ? await ofWorker() : [])]
      return { value: { end, timeOrigin, requestStart, spans: all } }
    }
    ;(error ? Promise.resolve({ error }) : add()).then((outcome) => send(url, JSON.stringify(outcome)))
    return true
  }
}
