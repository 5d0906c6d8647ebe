import { createHash } from 'node:crypto'

/** Answers with JSON. */
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

/** A value that tells whether bytes arrived unharmed. */
export function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex')
}
