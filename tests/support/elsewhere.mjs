import { listen } from './listen.mjs'

/**
 * Starts a server at another origin. Pages and workers of all origins may call it and read its responses, so only a
 * policy or the vault's rules can stop a request to it.
 *
 * @param {() => unknown} [content] Returns the value that responses contain as JSON.
 * @returns {Promise<{ origin: string, paths: string[], close(): Promise<void> }>} `paths` has the path and query of
 *   each request so far.
 */
export async function startElsewhere(content = () => null) {
  const paths = []
  const { origin, close } = await listen({
    handler(request, response) {
      paths.push(request.url)
      response.writeHead(200, {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Headers': '*',
        'Content-Type': 'application/json',
      })
      response.end(JSON.stringify(content()))
    },
  })
  return { origin, paths, close }
}
