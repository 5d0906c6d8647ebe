/** A world for a client: its rule covers the whole API, and `auth` counts the calls of the vault's `fetch`. */
import { testWorld } from 'strongroom/testing'

export const ORIGIN = 'https://api.example.com'

/**
 * @param {(request: Request) => Response | Promise<Response>} api
 * @param {{ isSignedIn?: boolean, rule?: string }} [options]
 */
export async function open(api, { isSignedIn = true, rule = `${ORIGIN}/` } = {}) {
  const config = {
    issuer: 'https://id.example.com',
    clientId: 'spa',
    redirectUri: '/callback',
    scope: 'openid offline_access',
    apis: [{ url: rule, methods: ['GET', 'POST', 'DELETE'] }],
  }
  const world = await testWorld(config, { api })
  if (isSignedIn) world.signIn()
  const auth = {
    calls: 0,
    get state() {
      return world.auth.state
    },
    fetch(...args) {
      auth.calls++
      return world.auth.fetch(...args)
    },
  }
  return { world, auth }
}

/** Resolves with the error of a promise that must reject. */
export const errorOf = (promise) =>
  promise.then(
    () => {
      throw new Error('this must reject')
    },
    (error) => error,
  )

/** A GraphQL API that responds to each query with the same orders. */
export const graphql = () =>
  Response.json({ data: { orders: [{ __typename: 'Order', id: 1041 }] } }, { headers: { 'X-A': 'b' } })
export const QUERY = 'query Orders { orders { id } }'
