/** The requests of the vault that a service worker sees, and that no other listener in it may see. */
import { ESCROW_HEADER } from '../../glue/constants.js'

/**
 * Returns a function that returns true for a request of the vault: one with an access token, one for tokens, one for the
 * provider's metadata or keys, the request for the file `vault`, and each request of a worker from this file.
 *
 * No other listener may respond to such a request or store it: script of the page can read and write caches, including
 * request headers.
 *
 * @param vault The URL of the vault's file, without a fragment.
 * @param clients The client ids of the known workers of the vault. The function adds the id of each worker whose file is
 * requested.
 */
export const vaultRequests =
  (vault: string | undefined, clients: Set<string>) =>
  ({ request, clientId, resultingClientId }: FetchEvent): boolean => {
    // The escrow for the vault's key responds to this request: src/worker/escrow.ts.
    if (isForEscrow(request)) return false
    if (/worker$/.test(request.destination) && withoutFragment(new URL(request.url)).href === vault) {
      if (resultingClientId) clients.add(resultingClientId)
      return true
    }
    // After this service worker was stopped and has lost the client ids, the request itself identifies the vault.
    return (
      clients.has(clientId) ||
      request.headers.has('authorization') ||
      isForTokens(request) ||
      isForMetadata(request)
    )
  }

/**
 * Returns true for a request of the vault to its escrow. A page cannot have the vault send such a request: the vault
 * chooses mode and cache mode of each call, and adds a token.
 */
export const isForEscrow = ({ url, mode, cache, headers }: Request): boolean =>
  mode === 'same-origin' &&
  cache === 'only-if-cached' &&
  !headers.has('authorization') &&
  new RegExp(`[?&]${ESCROW_HEADER}=[^&]*$`).test(url)

/** Returns true if the request may be one to a token endpoint. */
const isForTokens = ({ method, mode, credentials, headers }: Request): boolean =>
  method === 'POST' &&
  mode === 'cors' &&
  credentials === 'omit' &&
  /^application\/x-www-form-urlencoded/.test(headers.get('content-type') ?? '')

/**
 * Returns true if the request may be the vault's for the provider's metadata or keys: src/browser/provider_request.rs. Any
 * other request like this is hidden from the other listeners, too.
 */
const isForMetadata = ({
  method,
  destination,
  mode,
  credentials,
  redirect,
  cache,
  referrer,
}: Request): boolean =>
  method === 'GET' &&
  !destination &&
  mode === 'cors' &&
  credentials === 'omit' &&
  redirect === 'manual' &&
  cache === 'no-cache' &&
  !referrer

export const withoutFragment = (url: URL): URL => {
  url.hash = ''
  return url
}
