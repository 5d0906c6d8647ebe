import { createHash } from 'node:crypto'

/** Responds with JSON. */
export function sendJson(response, status, value, headers = {}) {
  const body = JSON.stringify(value)
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...headers,
  })
  response.end(body)
}

/** Returns the SHA-256 hash of bytes, with which tests check that a body arrived unchanged. */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
