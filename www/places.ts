/** Reads the contents of the places besides objects where a page can store data. */

/** The places that the search covers, with their names in the report. */
export const PLACES = {
  objects: 'Objects reachable from window',
  messages: 'Messages to and from the vault',
  localStorage: 'localStorage',
  sessionStorage: 'sessionStorage',
  databases: 'IndexedDB',
  caches: 'Cache storage',
  cookies: 'Cookies',
  history: 'Address and history',
  document: 'The document',
} as const

export interface Item {
  where: string
  value: unknown
}

export function storageItems(storage: Storage): Item[] {
  return Object.entries(storage).flatMap(([key, value]) => [
    { where: `the name of ${key}`, value: key },
    { where: key, value },
  ])
}

export function cookieItems(): Item[] {
  const pairs = document.cookie.split('; ').filter(Boolean)
  return pairs.map((pair) => ({ where: pair.split('=')[0] ?? '', value: pair }))
}

/** Returns the page's URLs, history state and performance entries. */
export function historyItems(): Item[] {
  const entries = 'navigation' in window ? window.navigation.entries() : []
  return [
    { where: 'location', value: location.href },
    { where: 'document.referrer', value: document.referrer },
    { where: 'history.state', value: history.state },
    ...entries.flatMap((entry, index) => [
      { where: `entry ${index}`, value: entry.url },
      { where: `state of entry ${index}`, value: entry.getState() },
    ]),
    ...performance.getEntries().map(({ name }) => ({ where: 'performance entry', value: name })),
  ]
}

/** Returns every text, comment and attribute in the document, and the values of its input elements. */
export function domItems(): Item[] {
  const items: Item[] = []
  const all = document.createTreeWalker(document)
  for (let node: Node | null = all.root; node; node = all.nextNode()) {
    const where = node.parentElement?.localName ?? 'document'
    if (node.nodeValue) items.push({ where, value: node.nodeValue })
    if (!(node instanceof Element)) continue
    for (const { name, value } of node.attributes) items.push({ where: `${node.localName} ${name}`, value })
    if (node instanceof HTMLInputElement) items.push({ where: 'input', value: node.value })
  }
  return items
}

/** Resolves with everything in IndexedDB: names of databases and stores, keys and values. */
export async function databaseItems(): Promise<Item[]> {
  const items: Item[] = []
  for (const { name = '' } of await indexedDB.databases()) {
    items.push({ where: 'database', value: name })
    const database = await done(indexedDB.open(name))
    for (const store of database.objectStoreNames) {
      const content = database.transaction(store).objectStore(store)
      items.push(
        { where: `${name}/${store}`, value: store },
        { where: `keys of ${name}/${store}`, value: await done(content.getAllKeys()) },
        { where: `values of ${name}/${store}`, value: await done(content.getAll()) },
      )
    }
    database.close()
  }
  return items
}

/** Resolves with the responses that this origin stores with the Cache API. */
export async function cacheItems(): Promise<Item[]> {
  const items: Item[] = []
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const request of await cache.keys()) {
      const text = await (await cache.match(request))?.text()
      items.push({ where: `${name} ${request.url}`, value: [request.url, [...request.headers], text] })
    }
  }
  return items
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
