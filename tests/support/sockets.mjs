import { STATUS_CODES } from 'node:http'
import { WebSocketServer } from 'ws'

/**
 * A socket that was opened or rejected.
 *
 * @typedef {object} ApiSocket
 * @property {string} path With the query.
 * @property {string[]} protocols The sub-protocols that were offered.
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {import('jose').JWTPayload | null} claims The claims of the access token, if the token was valid.
 * @property {string | null} problem The reason for rejecting the token.
 * @property {(string | Buffer)[]} messages Messages received, without the first one if it contained the token.
 * @property {import('ws').WebSocket} [socket]
 * @property {Promise<{ code: number, reason: string }>} closed Resolves when the socket has closed.
 */

/** Prefix of the token in a sub-protocol. */
export const PREFIX = 'bearer.'

/**
 * Starts the API's sockets. Each socket requires an access token in the place that its path names:
 *
 * - `/v1/live/protocol`: in a sub-protocol, after `bearer.`
 * - `/v1/live/message`: in the first message, `{ "token": … }`
 * - `/v1/live/query`: in the parameter `access_token`
 * - `/v1/live/header`: in `Authorization`, which only a server can send
 *
 * A socket echoes its messages unless the query has `quiet`. It chooses the first sub-protocol that does not contain
 * the token. With `?choose=token` it chooses the sub-protocol that contains the token, and with `?choose=none` it
 * chooses no sub-protocol. The sub-protocol `reflect` makes the head of the handshake repeat `Authorization`.
 *
 * @param {object} options
 * @param {(token?: string) => Promise<{ claims: object | null, problem: object | null }>} options.verify
 */
export function startSockets({ verify }) {
  /** @type {ApiSocket[]} Oldest first. */
  const opened = []
  const server = new WebSocketServer({ noServer: true, handleProtocols: choose, perMessageDeflate: false })

  // An API that repeats the token in the head of the handshake.
  server.on('headers', (fields, { headers }) => {
    if (headers['sec-websocket-protocol'] === 'reflect') fields.push(`X-Seen: ${headers.authorization}`)
  })

  async function upgrade(request, stream, head) {
    // A client may reset the connection at any time, even before the handshake's response.
    stream.on('error', () => {})
    const url = new URL(request.url, 'ws://api')
    const [, place] = /^\/v1\/live\/(\w+)$/.exec(url.pathname) ?? []
    const offered = request.headers['sec-websocket-protocol']?.split(/\s*,\s*/) ?? []
    const entry = {
      path: request.url,
      protocols: offered,
      headers: request.headers,
      claims: null,
      problem: null,
      messages: [],
    }
    opened.push(entry)
    const tokens = {
      protocol: () => offered.find((name) => name.startsWith(PREFIX))?.slice(PREFIX.length),
      query: () => url.searchParams.get('access_token') ?? undefined,
      header: () => /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1],
    }
    if (!place || !(await admit(entry, tokens[place]))) {
      const status = place ? 401 : 404
      stream.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`)
      return
    }
    server.handleUpgrade(request, stream, head, (socket) => converse(entry, socket, url))
  }

  async function admit(entry, tokenOf) {
    if (!tokenOf) return true
    const { claims, problem } = await verify(tokenOf())
    Object.assign(entry, { claims, problem: problem && (problem.error ?? 'no token') })
    return !problem
  }

  function converse(entry, socket, url) {
    entry.socket = socket
    entry.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }))
    })
    const isEcho = !url.searchParams.has('quiet')
    /** Settles when the token, which may come in the first message, has been verified. */
    let admission = entry.claims ? Promise.resolve(true) : undefined
    socket.on('message', async (data, isBinary) => {
      if (!admission) {
        admission = admit(entry, () => JSON.parse(data).token)
        if (!(await admission)) socket.close(4401, 'unauthorized')
        return
      }
      if (!(await admission)) return
      const message = isBinary ? data : data.toString()
      entry.messages.push(message)
      if (isEcho) socket.send(message)
    })
    socket.on('error', () => {})
  }

  return {
    opened,
    upgrade,
    close() {
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }
}

function choose(offered, request) {
  const names = [...offered]
  const secret = names.find((name) => name.startsWith(PREFIX))
  const own = names.find((name) => name !== secret)
  const wanted = new URL(request.url, 'ws://api').searchParams.get('choose')
  if (wanted === 'token') return secret
  if (wanted === 'none') return false
  return own ?? secret ?? false
}
