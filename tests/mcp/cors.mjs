/** A preload for the suite: lets pages of any origin call its servers, which send no CORS headers. */
import { Server } from 'node:http'

const { emit } = Server.prototype

const allow = (request, response) => {
  response.setHeader('Access-Control-Allow-Origin', request.headers.origin ?? '*')
  response.setHeader('Access-Control-Expose-Headers', 'WWW-Authenticate, Mcp-Session-Id')
  if (request.method !== 'OPTIONS') return false
  response.writeHead(204, {
    'Access-Control-Allow-Methods': 'GET, POST, DELETE',
    'Access-Control-Allow-Headers': request.headers['access-control-request-headers'] ?? '',
  })
  response.end()
  return true
}

Server.prototype.emit = function (event, ...rest) {
  return (event === 'request' && allow(...rest)) || emit.call(this, event, ...rest)
}
