/**
 * The places besides objects where a page can store data. Each place reads its content, and can put a fake token there
 * for the control of the search (control.ts).
 */
import type { Item, Scope } from './documents.js'
import { readScope } from './documents.js'
import type { Recording } from './recorder.js'

/** Undoes what a place has written. */
export type Restore = () => void | Promise<void>

export interface Place {
  name: string
  unit: string
  /**
   * Reads the place. With `own`, reads at least what `plant` has written, and otherwise as little as possible.
   */
  items(own?: boolean): Item[] | Promise<Item[]>
  /** The change that `plant` makes, in words for the user. */
  writes: string
  /**
   * Writes a token. A place that reads synchronously also writes synchronously, and nothing else of the page runs before
   * the token is removed again.
   */
  plant(token: string): Restore | Promise<Restore>
}

/** The name of everything that a control writes. */
export const NAME = 'strongroom-inspector-planted'

/** Entries of a database or a cache that are read. */
const LIMIT = 1000
/** A browser that is given more cookies may drop old ones. */
const MOST_COOKIES = 100

export const OBJECTS = 'Objects reachable from window'
export const HISTORY = 'Address and history'

/** Returns all places besides objects. `host` is the inspector's element, which holds the tokens of two controls. */
export function placesOf(scope: Scope, host: HTMLElement, recording: Recording | undefined): Place[] {
  const places = [
    storage('localStorage'),
    storage('sessionStorage'),
    DATABASES,
    CACHES,
    COOKIES,
    historyOf(scope, host),
    {
      name: 'The document and its frames',
      unit: 'item',
      writes: 'an attribute of this element',
      items: (own?: boolean) => (own ? readScope() : scope).document,
      plant(token: string) {
        host.setAttribute(NAME, token)
        return () => host.removeAttribute(NAME)
      },
    },
    {
      name: 'Open shadow roots',
      unit: 'item',
      writes: 'a comment in the shadow root of this element',
      items: (own?: boolean) => (own ? readScope() : scope).shadowRoots,
      plant(token: string) {
        const comment = new Comment(token)
        host.shadowRoot?.append(comment)
        return () => comment.remove()
      },
    },
  ]
  return recording ? [messagesOf(recording), ...places] : places
}

function messagesOf(recording: Recording): Place {
  return {
    name: 'Messages to and from the vault',
    unit: 'message',
    writes: 'a message in a channel of its own',
    items: () =>
      recording.messages.map(({ direction, type, text }) => ({ where: `${direction} ${type}`, value: text })),
    plant(token) {
      const { port1, port2 } = new MessageChannel()
      port1.postMessage(token)
      return () => {
        port1.close()
        port2.close()
        recording.forget(token)
      }
    },
  }
}

const storage = (name: 'localStorage' | 'sessionStorage'): Place => ({
  name,
  unit: 'entry',
  writes: `the entry ${NAME}`,
  items: () =>
    Object.entries(window[name]).flatMap(([key, value]) => [
      { where: `the name of ${name}.${key}`, value: key },
      { where: `${name}.${key}`, value },
    ]),
  plant(token) {
    window[name].setItem(NAME, token)
    return () => window[name].removeItem(NAME)
  },
})

const COOKIES: Place = {
  name: 'Cookies that script can read',
  unit: 'cookie',
  writes: `the cookie ${NAME}`,
  items: () => cookies().map((pair) => ({ where: pair.split('=')[0] ?? '', value: pair })),
  plant(token) {
    if (cookies().length > MOST_COOKIES) throw new Error('a further cookie might remove one of the app')
    document.cookie = `${NAME}=${token}; SameSite=Strict`
    return () => void (document.cookie = `${NAME}=; SameSite=Strict; Max-Age=0`)
  },
}

const cookies = () => document.cookie.split('; ').filter(Boolean)

/** The URLs, history states and performance entries of windows. */
const historyOf = (scope: Scope, host: HTMLElement): Place => ({
  name: HISTORY,
  unit: 'item',
  writes: 'history.state of an empty frame in the shadow root of this element',
  items: (own) =>
    (own ? readScope() : scope).windows.flatMap((view) => {
      const entries = 'navigation' in view ? (view.navigation as Navigation).entries() : []
      return [
        { where: 'location', value: view.location.href },
        { where: 'document.referrer', value: view.document.referrer },
        { where: 'history.state', value: view.history.state },
        ...entries.flatMap((entry, index) => [
          { where: `entry ${index}`, value: entry.url },
          { where: `state of entry ${index}`, value: entry.getState() },
        ]),
        ...view.performance.getEntries().map(({ name }) => ({ where: 'performance entry', value: name })),
      ]
    }),
  // The state of the page itself is not touched: browsers tell routers of each change, also of one that is undone.
  plant(token) {
    const frame = document.createElement('iframe')
    frame.hidden = true
    host.shadowRoot?.append(frame)
    frame.contentWindow?.history.replaceState({ [NAME]: token }, '')
    return () => frame.remove()
  },
})

const DATABASES: Place = {
  name: 'IndexedDB',
  unit: 'item',
  writes: `the database ${NAME}`,
  async items(own) {
    const items: Item[] = []
    for (const { name = '' } of await indexedDB.databases()) {
      if (own && name !== NAME) continue
      items.push({ where: 'database', value: name })
      const database = await open(name)
      if (!database) continue
      try {
        for (const store of database.objectStoreNames) {
          const content = database.transaction(store).objectStore(store)
          items.push(
            { where: `${name}/${store}`, value: store },
            { where: `keys of ${name}/${store}`, value: await done(content.getAllKeys(null, LIMIT)) },
            { where: `values of ${name}/${store}`, value: await done(content.getAll(null, LIMIT)) },
          )
        }
      } finally {
        database.close()
      }
    }
    return items
  },
  async plant(token) {
    // A tab that was closed during a test may have left its database.
    await done(indexedDB.deleteDatabase(NAME))
    const database = await open(NAME, (created) => created.createObjectStore(NAME).put({ token }, 1))
    database?.close()
    return async () => void (await done(indexedDB.deleteDatabase(NAME)))
  },
}

/**
 * Opens a database. Resolves with `undefined` if the database has been deleted meanwhile, because opening it would create
 * it again. The connection gives way to the app's own, if the app deletes or changes the database.
 */
async function open(
  name: string,
  create?: (database: IDBDatabase) => void,
): Promise<IDBDatabase | undefined> {
  const request = indexedDB.open(name)
  request.onupgradeneeded = () => (create ? create(request.result) : request.transaction?.abort())
  const database = await done(request).catch((error: DOMException) => {
    if (error.name === 'AbortError') return undefined
    throw error
  })
  if (database) database.onversionchange = () => database.close()
  return database
}

const CACHES: Place = {
  name: 'Cache storage',
  unit: 'response',
  writes: `the cache ${NAME}`,
  async items(own) {
    const items: Item[] = []
    for (const name of own ? [NAME] : await caches.keys()) {
      const cache = await caches.open(name)
      for (const request of (await cache.keys()).slice(0, LIMIT)) {
        const text = await (await cache.match(request))?.text()
        items.push({ where: `${name} ${request.url}`, value: [request.url, [...request.headers], text] })
      }
    }
    return items
  },
  async plant(token) {
    await (await caches.open(NAME)).put(`/${NAME}`, new Response(token))
    return async () => void (await caches.delete(NAME))
  },
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
