/** The part of Node's `IncomingMessage` and `Http2ServerRequest` that the listener uses. */
export interface NodeRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** The whole path, which frameworks keep if they remove the path of a mount from `url`. */
  readonly originalUrl?: string | undefined
  /** In Express, the path of a mount. */
  readonly baseUrl?: string | undefined
  /** The body, if middleware before the listener has read it. */
  readonly body?: unknown
  readonly readableEnded?: boolean | undefined
  readonly httpVersionMajor?: number | undefined
  /** The stream of an HTTP/2 request. */
  readonly stream?: { readonly endAfterHeaders?: boolean | undefined } | undefined
  readonly rawHeaders: readonly string[]
  readonly headers: { readonly [name: string]: string | string[] | undefined }
  readonly socket: object
  resume(): unknown
  iterator(options: { destroyOnReturn: boolean }): AsyncIterator<unknown>
}

/** A member of a listener's options: the app's pages depend on the adapter, so it must get their requests, too. */
export const SERVES_PAGES = Symbol()

/** Returns the request's headers, each with all its values. */
export const headersOf = ({ rawHeaders }: NodeRequest): Headers => {
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    // Skips HTTP/2 pseudo-headers.
    if (!name.startsWith(':')) headers.append(name, rawHeaders[at + 1]!)
  }
  return headers
}

/** Returns the host to which a request was sent, if it names one. Programs that probe a server often name none. */
export const hostOf = ({ headers }: NodeRequest) => headers[':authority'] ?? headers.host

/**
 * Returns the path and query of a request's target, or `null` if the target is neither a path nor the absolute form for
 * the request's own host (RFC 9112 3.2.2). The whole path, where frameworks remove the path of a mount from `url`.
 */
export const targetOf = (incoming: NodeRequest): string | null => {
  const target = incoming.originalUrl ?? incoming.url ?? ''
  if (target.startsWith('/')) return target
  const [, authority, rest] = /^https?:\/\/([^/?#]+)(.*)$/i.exec(target) ?? []
  if (!authority || authority.toLowerCase() !== `${hostOf(incoming)}`.toLowerCase()) return null
  return rest!.startsWith('/') ? rest! : `/${rest}`
}

/** Returns the origin of the server's connection and of the request's host, or `null` if the host is not usable. */
export function originOf(incoming: NodeRequest): string | null {
  const host = hostOf(incoming)
  const { socket } = incoming
  const scheme = 'encrypted' in socket && socket.encrypted ? 'https' : 'http'
  // Accepts only the characters of a host and a port, so that the value contains no user, no path, and no character
  // that the URL parser would skip.
  if (typeof host !== 'string' || !/^[\w.:[\]-]+$/.test(host)) return null
  try {
    return new URL(`${scheme}://${host}`).origin
  } catch {
    return null
  }
}
