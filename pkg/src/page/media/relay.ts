/** Passes the requests for media of this page's service worker to the vault: src/media/media.ts. */
import { MEDIA } from '../../protocol/media-messages.js'
import { listen } from '../listen.js'
import { load } from '../load.js'
import { refuse } from '../errors/error-text.js'
import type { Strongroom } from '../api.js'
import type { LazyClient } from '../streaming/lazy-target.js'

const loadMedia = () => load(() => import('./page-media.js'), 'media')

/** The methods of a client for media. `relay` asks the vault if a rule has `media`. */
export const mediaMethods = (relay: LazyClient['relay']): Pick<Strongroom, 'media' | 'download'> => ({
  media: async () => (await loadMedia()).media(relay),
  download: async (path, options) => (await loadMedia()).download(path, options, refuse),
})

/** Passes each request to `relay`. Returns a function that stops this. */
export const relayMedia = (relay: LazyClient['relay']): (() => void) => {
  // On a server, and in a sandboxed frame, there are no service workers.
  const workers = globalThis.origin !== 'null' && globalThis.navigator?.serviceWorker
  if (!workers) return () => {}
  return listen(workers, 'message', (event: MessageEvent) => {
    const { data, ports, source } = event
    if (data?.t !== MEDIA) return
    // Only one listener can pass the port on.
    event.stopImmediatePropagation()
    const tell = (error?: any) =>
      (source as ServiceWorker).postMessage({
        t: MEDIA,
        id: data.id,
        error: error && `${error.code ?? error.name}: ${error.message}`,
      })
    tell()
    relay(data, ports[0]!).catch(tell)
  })
}
