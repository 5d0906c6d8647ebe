// Apollo Client, in both versions that the guide names. `apollo.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StrongroomError } from 'strongroom'
import { ApolloClient, createLink, gql, InMemoryCache, vaultError } from './apollo.mjs'
import { errorOf, graphql, open, ORIGIN, QUERY } from './world.mjs'

const time = { timeout: 20_000 }

const call = (auth) =>
  new ApolloClient({ link: createLink(auth, `${ORIGIN}/graphql`), cache: new InMemoryCache() }).query({
    query: gql(QUERY),
  })

test('reads through the vault', time, async () => {
  const { world, auth } = await open(graphql)
  const { data } = await call(auth)
  assert.equal(data.orders[0].id, 1041)
  assert.equal(world.calls[0].method, 'POST')
  world.close()
})

test('login_required reaches the app at once', time, async () => {
  const { world, auth } = await open(graphql, { isSignedIn: false })
  const error = vaultError(await errorOf(call(auth)))
  assert.ok(error instanceof StrongroomError, String(error))
  assert.equal(error.code, 'login_required')
  assert.equal(auth.calls, 1)
  world.close()
})
