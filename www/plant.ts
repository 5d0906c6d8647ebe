/** Puts a new fake token into each place that the search covers, to show that the search finds the tokens. */
import { base64url } from './format.js'
import { PLACES } from './places.js'
import { forget } from './recorder.js'

const NAME = 'planted'

/** Returns a fake JWT of random bytes. Each place gets a different token, so that the search must find each of them. */
function fakeToken(): string {
  const part = (length: number) => base64url(crypto.getRandomValues(new Uint8Array(length)))
  return `${base64url(new TextEncoder().encode('{"alg":"none"}'))}.${part(48)}.${part(64)}`
}

export interface Planted {
  /** The planted tokens, by the names of places in the report. */
  tokens: Record<string, string>
  /** Removes all planted tokens. */
  remove(): Promise<void>
}

/** Plants a token in each place that the search covers. */
export async function plant(): Promise<Planted> {
  const tokens: Record<string, string> = {}
  const fresh = (place: string) => (tokens[place] = fakeToken())
  Object.assign(window, { [NAME]: { deep: new Map([['session', [{ token: fresh(PLACES.objects) }]]]) } })
  localStorage.setItem(NAME, fresh(PLACES.localStorage))
  sessionStorage.setItem(NAME, fresh(PLACES.sessionStorage))
  document.cookie = `${NAME}=${fresh(PLACES.cookies)}; SameSite=Strict`
  history.replaceState({ [NAME]: fresh(PLACES.history) }, '')
  document.body.setAttribute(`data-${NAME}`, fresh(PLACES.document))
  await store(fresh(PLACES.databases))
  await (await caches.open(NAME)).put('/planted', new Response(fresh(PLACES.caches)))
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(fresh(PLACES.messages))

  return {
    tokens,
    async remove() {
      port1.close()
      port2.close()
      for (const token of Object.values(tokens)) forget(token)
      Reflect.deleteProperty(window, NAME)
      localStorage.removeItem(NAME)
      sessionStorage.removeItem(NAME)
      document.cookie = `${NAME}=; SameSite=Strict; Max-Age=0`
      history.replaceState(null, '')
      document.body.removeAttribute(`data-${NAME}`)
      await settle(indexedDB.deleteDatabase(NAME))
      await caches.delete(NAME)
    },
  }
}

async function store(token: string): Promise<void> {
  const request = indexedDB.open(NAME)
  request.onupgradeneeded = () => request.result.createObjectStore(NAME).put({ token }, 1)
  await settle(request)
  request.result.close()
}

function settle(request: IDBRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}
