/** The requests of the vault that a service worker sees, and that no other listener in it may see. */
import { ESCROW_HEADER } from '../../glue/constants.js'

/**
 * Returns a function that returns true for a request of the vault: one with an access token, one for tokens, the request
 * for the file `vault`, and each request of a worker from this file.
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
    const { headers } = request
    // The escrow for the vault's key responds to this request: src/worker/escrow.ts.
    if (headers.has(ESCROW_HEADER)) return false
    if (/worker$/.test(request.destination) && withoutFragment(new URL(request.url)).href === vault) {
      if (resultingClientId) clients.add(resultingClientId)
      return true
    }
    // The headers identify a vault's request after this service worker was stopped and has lost the client ids.
    return clients.has(clientId) || headers.has('authorization') || isForTokens(request)
  }

/** Returns true if the request may be one to a token endpoint. */
const isForTokens = ({ method, mode, credentials, headers }: Request): boolean =>
  method === 'POST' &&
  mode === 'cors' &&
  credentials === 'omit' &&
  /^application\/x-www-form-urlencoded/.test(headers.get('content-type') ?? '')

export const withoutFragment = (url: URL): URL => {
  url.hash = ''
  return url
}
