/** The headers that let script of another origin read a response (CORS). */
import type { Reply } from './requests.js'

export const ORIGIN = 'Access-Control-Allow-Origin'
export const HEADERS = 'Access-Control-Allow-Headers'

/** Returns true if script of this origin may read a response without cookies. */
export const isReadable = (reply: Reply, origin: string): boolean => {
  const value = reply.header(ORIGIN)
  return value === '*' || value === origin || new URL(reply.url).origin === origin
}

/** Returns the header that a provider must send, and where its user sets it. */
export const allowedOrigin = (origin: string): string =>
  `${ORIGIN}: ${origin} (at the provider: add the app's origin to the client's allowed origins)`
