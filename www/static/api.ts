/** The static demo's API, which runs in the vault's worker. It has the routes that the demo's page calls. */
import { accessToken } from './provider.js'
import { api } from './addresses.js'

interface Call {
  request: Request
  url: URL
  /** The path after the route's name. */
  rest: string
  claims: Record<string, unknown>
}

const orders = [
  { id: 1041, item: 'Brass hinges, pair', quantity: 2 },
  { id: 1042, item: 'Lamp oil, 1 l', quantity: 6 },
  { id: 1043, item: 'Signal rope, 20 m', quantity: 1 },
]

/** The keys of `reject-once` that have been rejected. */
const rejected = new Set<string>()

const ROUTES: Record<string, (call: Call) => Promise<Response> | Response> = {
  me: ({ claims: { sub, scope, client_id } }) => Response.json({ sub, scope, client_id }),

  async orders({ request }) {
    if (request.method !== 'POST') return Response.json(orders)
    const { item, quantity } = await request.json()
    const placed = { id: 1041 + orders.length, item, quantity }
    orders.push(placed)
    return Response.json(placed, { status: 201 })
  },

  async upload({ request }) {
    const body = await request.arrayBuffer()
    const type = request.headers.get('content-type') ?? ''
    const form = await new Response(body, { headers: { 'Content-Type': type } }).formData()
    const fields = [...form].map(([name, value]) =>
      typeof value === 'string'
        ? { name, value }
        : { name, file: value.name, type: value.type, size: value.size },
    )
    return Response.json({ method: request.method, type, size: body.byteLength, fields })
  },

  stream({ request: { signal }, url }) {
    const count = Number(url.searchParams.get('n'))
    const interval = Number(url.searchParams.get('interval'))
    let line = 0
    const body = new ReadableStream({
      start(controller) {
        signal.addEventListener('abort', () => controller.error(signal.reason))
      },
      async pull(controller) {
        if (line) await sleep(interval)
        if (signal.aborted) return
        const text = `line ${++line} of ${count} at ${new Date().toISOString()}\n`
        controller.enqueue(new TextEncoder().encode(text))
        if (line === count) controller.close()
      },
    })
    return new Response(body, { headers: { 'Content-Type': 'text/plain; charset=utf-8' } })
  },

  async slow({ url }) {
    const waited = Number(url.searchParams.get('ms'))
    await sleep(waited)
    return Response.json({ waited })
  },

  'reject-once'({ request, url, rest }) {
    if (!rejected.has(rest)) {
      rejected.add(rest)
      return unauthorized()
    }
    return Response.json({
      method: request.method,
      path: url.pathname,
      headers: [...request.headers.keys()].sort(),
    })
  },
}

/** Responds to a request to the API. */
export async function respond(request: Request): Promise<Response> {
  const url = new URL(request.url)
  const [name = '', ...rest] = url.href.slice(api.length).split(/[/?]/)
  const claims = await accessToken(request)
  if (!claims) return unauthorized()
  const route = ROUTES[name]
  return route
    ? route({ request, url, rest: rest.join('/'), claims })
    : Response.json({ error: 'not_found' }, { status: 404 })
}

function unauthorized(): Response {
  const headers = { 'WWW-Authenticate': 'Bearer realm="orders", error="invalid_token"' }
  return Response.json({ error: 'invalid_token' }, { status: 401, headers })
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
