import { readBody } from '../tests/support/body.mjs'
import { listen } from '../tests/support/listen.mjs'

/** The time limit for a page's report, in milliseconds. */
const PATIENCE = 90_000

/**
 * Starts the server to which measured pages report. The server gives the pages the access token that `token()` returns,
 * and tells them when the token has expired.
 */
export async function startCollector({ origin, token, expired }) {
  const waiting = new Map()
  const server = await listen({
    async handler(request, response) {
      const { pathname, searchParams } = new URL(request.url, 'http://collector')
      response.setHeader('Access-Control-Allow-Origin', origin)
      if (pathname === '/token') return response.end(token())
      if (pathname === '/expired') return response.end(String(await expired()))
      const body = await readBody(request)
      response.end()
      waiting.get(searchParams.get('id'))?.(JSON.parse(body))
    },
  })
  return {
    url: `${server.origin}/`,
    close: server.close,
    /** Resolves with the measurements of page `id`. */
    async result(id) {
      const { value, error } = await new Promise((resolve) => {
        const error = `page ${id} did not report within ${PATIENCE / 1000} s`
        // The timer must not keep the process alive if another part of the bench has failed.
        const timer = setTimeout(resolve, PATIENCE, { error }).unref()
        waiting.set(id, (outcome) => {
          clearTimeout(timer)
          resolve(outcome)
        })
      })
      waiting.delete(id)
      if (error) throw new Error(error)
      return value
    },
  }
}
