/** Passes the requests for media of this page's service worker to the vault: src/media/media.ts. */
import { NO_MEDIA } from '../../protocol/message-keys.js'
import { MEDIA } from '../../protocol/media-messages.js'
import { listen } from '../listen.js'
import { load } from '../load.js'
import { refuse } from '../errors/error-text.js'
import type { Strongroom } from '../api.js'
import type { LazyClient } from '../streaming/lazy-target.js'

/** The addresses of media name no account, so they belong to the first one. */
const loadMedia = (account?: number) =>
  account ? refuse('unsupported', NO_MEDIA) : load(() => import('./page-media.js'), 'media')

/** The methods of a client for media. `relay` asks the vault if a rule has `media`. */
export const mediaMethods = (
  relay: LazyClient['relay'],
  account?: number,
): Pick<Strongroom, 'media' | 'download'> => ({
  media: async () => (await loadMedia(account)).media(relay),
  download: async (path, options) => (await loadMedia(account)).download(path, options, refuse),
})

/** Passes each request to `relay`. Returns a function that stops this. */
export const relayMedia = (relay: LazyClient['relay'], account?: number): (() => void) => {
  // On a server, and in a sandboxed frame, there are no service workers.
  const workers = globalThis.origin !== 'null' && globalThis.navigator?.serviceWorker
  if (!workers || account) return () => {}
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
