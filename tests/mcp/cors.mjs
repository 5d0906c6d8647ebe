/**
 * A preload for the suite: lets pages of any origin call its servers, which send no CORS headers. The headers are those of
 * docs/mcp.md.
 */
import { readFileSync } from 'node:fs'
import { Server } from 'node:http'

const page = readFileSync(new URL('../../docs/mcp.md', import.meta.url), 'utf8')
const headers = [...page.matchAll(/^(Access-Control-(?!Allow-Origin)[\w-]+): (.*)$/gm)].map(
  ([, ...one]) => one,
)

const { emit } = Server.prototype

const allow = (request, response) => {
  response.setHeader('Access-Control-Allow-Origin', request.headers.origin ?? '*')
  for (const [name, value] of headers) response.setHeader(name, value)
  if (request.method !== 'OPTIONS') return false
  response.writeHead(204).end()
  return true
}

Server.prototype.emit = function (event, ...rest) {
  return (event === 'request' && allow(...rest)) || emit.call(this, event, ...rest)
}
