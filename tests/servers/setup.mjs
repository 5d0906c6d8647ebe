/**
 * Functions for servers that are libraries: each of them needs a sign-in page, CORS and an HTTP server. The driver
 * copies this file next to server.mjs.
 */
import { createServer } from 'node:http'

const FORM = `<!doctype html>
<title>Sign in</title>
<form method="post">
  <input id="username" name="username"><input id="password" name="password" type="password">
  <button>Sign in</button>
</form>`

/** Returns the sign-in page, whose form is posted to the same URL. */
export const signInForm = () => new Response(FORM, { headers: { 'Content-Type': 'text/html' } })

/** Resolves with true if the request has the user's name and password. */
export async function signedIn(request, { username, password }) {
  const form = await request.clone().formData()
  return form.get('username') === username && form.get('password') === password
}

/**
 * Serves endpoints by path, with CORS for the origins of these apps. Writes the port to standard output.
 *
 * @param {Record<string, (request: Request) => Response | Promise<Response>>} endpoints
 * @param {string[]} apps
 * @param {(request: Request) => Response | Promise<Response>} [otherwise] Serves all other paths.
 */
export function serve(endpoints, apps, otherwise = () => new Response(null, { status: 404 })) {
  const server = createServer(async (incoming, outgoing) => {
    const { origin, host } = incoming.headers
    if (apps.includes(origin)) {
      outgoing.setHeader('Access-Control-Allow-Origin', origin)
      outgoing.setHeader('Access-Control-Allow-Headers', 'authorization, content-type, dpop')
      outgoing.setHeader('Access-Control-Expose-Headers', 'DPoP-Nonce, WWW-Authenticate')
    }
    if (incoming.method === 'OPTIONS') return outgoing.writeHead(204).end()
    const chunks = []
    for await (const chunk of incoming) chunks.push(chunk)
    const url = new URL(incoming.url, `http://${host}`)
    const body = incoming.method === 'POST' ? Buffer.concat(chunks) : undefined
    const request = new Request(url, { method: incoming.method, headers: incoming.headers, body })
    const response = await (endpoints[url.pathname] ?? otherwise)(request)
    for (const [name, value] of response.headers) outgoing.appendHeader(name, value)
    outgoing.writeHead(response.status).end(Buffer.from(await response.arrayBuffer()))
  })
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
}
