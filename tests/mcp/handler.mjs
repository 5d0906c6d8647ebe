import { createTokenHandler, inIsolate } from '../../pkg/dist/edge.js'
import { toNodeListener } from '../../pkg/dist/edge/node.js'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'
import { useTools } from './tools.js'

/** Uses the server's tools as a page of an app with a token handler. Rejects with the error that the page gets. */
export async function useHandler({ url, issuer, resource, scope, client }) {
  let listener
  const site = await listen({ host: 'localhost', handler: (...exchange) => listener(...exchange) })
  const { origin } = site
  try {
    const { pathname, origin: upstream } = new URL(url)
    const handler = createTokenHandler({
      issuer,
      client: await client(`${origin}/auth/callback`),
      scope,
      identity: 'none',
      resource,
      cookie: { keys: Buffer.alloc(32, 7).toString('base64') },
      origin,
      routes: [
        { prefix: '/api/', upstream: `${upstream}/`, methods: ['GET', 'POST', 'DELETE'], stepUp: true },
      ],
      coordinator: inIsolate(),
      log: ({ code, message }) => console.log(`${code}: ${message}`),
    })
    listener = toNodeListener(handler)
    const visitor = new Visitor({ origin, urls: [origin] })
    await visitor.signIn()
    const { session } = await visitor.session()
    if (!session) throw new Error('the login has failed')
    await useTools(`${origin}/api${pathname}`, ({ pathname: path }, { method, headers, body }) =>
      visitor.call(path, { method, body, headers: Object.fromEntries(headers) }),
    )
  } finally {
    await site.close()
  }
}
