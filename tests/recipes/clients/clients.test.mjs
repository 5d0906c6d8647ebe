// The rows of the guide's table. `codes.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, createFileRegistry } from '@bufbuild/protobuf'
import { file_google_protobuf_wrappers as wrappers, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { createClient, createConnectRouter } from '@connectrpc/connect'
import { createFetchHandler } from '@connectrpc/connect/protocol'
import { configureStore } from '@reduxjs/toolkit'
import { createApi } from '@reduxjs/toolkit/query'
import { createTRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { StrongroomError } from 'strongroom'
import {
  createConnect,
  createGraphqlRequest,
  createGrpcWeb,
  createRtkBaseQuery,
  createTrpcLink,
  createUrql,
  errorOfTable,
  poll,
} from './codes.mjs'
import { errorOf, graphql, open, ORIGIN, QUERY } from './world.mjs'

const time = { timeout: 20_000 }
const url = `${ORIGIN}/graphql`

const { router, procedure } = initTRPC.create()
const orders = router({ orders: procedure.query(() => [{ id: 1041 }]) })

/** A service whose method responds with two messages. */
const file = create(FileDescriptorProtoSchema, {
  name: 'orders.proto',
  syntax: 'proto3',
  dependency: [wrappers.proto.name],
  service: [
    {
      name: 'Orders',
      method: [
        {
          name: 'watch',
          inputType: '.google.protobuf.Int32Value',
          outputType: '.google.protobuf.Int32Value',
          serverStreaming: true,
        },
      ],
    },
  ],
})
const Orders = createFileRegistry(file, () => wrappers.proto).getService('Orders')
const [watch] = createConnectRouter().service(Orders, {
  async *watch({ value }) {
    for (const added of [0, 1]) yield { value: value + added }
  },
}).handlers
const serve = createFetchHandler(watch)

const readAll = async (transport) => {
  const read = []
  for await (const { value } of createClient(Orders, transport).watch({ value: 1041 })) read.push(value)
  assert.deepEqual(read, [1041, 1042])
  return [{ id: read[0] }]
}

/** Functions that call the API with a client, and reject as the client does. */
const CLIENTS = {
  urql: async (auth) => {
    const { data, error } = await createUrql(auth, url).query(QUERY, {}).toPromise()
    if (error) throw error
    return data.orders
  },
  'graphql-request': async (auth) => (await createGraphqlRequest(auth, url).request(QUERY)).orders,
  tRPC: (auth) => createTRPCClient({ links: [createTrpcLink(auth, `${ORIGIN}/trpc`)] }).orders.query(),
  Connect: (auth) => readAll(createConnect(auth, ORIGIN)),
  'gRPC-web': (auth) => readAll(createGrpcWeb(auth, ORIGIN)),
}

const respond = (request) =>
  request.url.startsWith(url)
    ? graphql()
    : request.url.endsWith(watch.requestPath)
      ? serve(request)
      : fetchRequestHandler({ endpoint: '/trpc', req: request, router: orders, createContext: () => ({}) })

for (const [name, call] of Object.entries(CLIENTS)) {
  test(`${name}: reads through the vault`, time, async () => {
    const { world, auth } = await open(respond)
    const [order] = await call(auth)
    assert.equal(order.id, 1041)
    assert.equal(auth.calls, 1)
    assert.equal(world.calls[0].method, ['urql', 'tRPC'].includes(name) ? 'GET' : 'POST')
    world.close()
  })

  test(`${name}: login_required reaches the app at once`, time, async () => {
    const { world, auth } = await open(respond, { isSignedIn: false })
    const error = errorOfTable[name](await errorOf(call(auth)))
    assert.ok(error instanceof StrongroomError, String(error))
    assert.equal(error.code, 'login_required')
    assert.equal(auth.calls, 1)
    world.close()
  })
}

const rtk = (auth) => {
  const api = createApi({
    baseQuery: createRtkBaseQuery(auth, `${ORIGIN}/`),
    endpoints: (build) => ({ orders: build.query({ query: () => 'orders' }) }),
  })
  const store = configureStore({
    reducer: { [api.reducerPath]: api.reducer },
    middleware: (middleware) => middleware().concat(api.middleware),
  })
  return store.dispatch(api.endpoints.orders.initiate())
}

test('RTK Query: reads through the vault', time, async () => {
  const { world, auth } = await open(() => Response.json([{ id: 1041 }]))
  const { data } = await rtk(auth)
  assert.deepEqual(data, [{ id: 1041 }])
  world.close()
})

test('RTK Query: has the error only as text', time, async () => {
  const { world, auth } = await open(respond, { isSignedIn: false })
  const { error } = await rtk(auth)
  const [status, expected] = errorOfTable['RTK Query'](error)
  assert.equal(status, expected)
  assert.equal(typeof error.error, 'string')
  assert.equal(error.code, undefined)
  assert.equal(auth.calls, 1)
  world.close()
})

test('wrapped fetch does not extend the idle timeout', time, async () => {
  for (const isPoll of [true, false]) {
    const { world, auth } = await open(respond)
    await world.advance('20m')
    const { fetch } = isPoll ? poll(auth) : auth
    await createGraphqlRequest({ fetch }, url).request(QUERY)
    await world.advance('20m')
    assert.equal(world.auth.state.endReason, isPoll ? 'idle' : null)
    world.close()
  }
})

test('rule covers only addresses below its path', time, async () => {
  const { world, auth } = await open(respond, { rule: `${url}/` })
  const error = await errorOf(CLIENTS['graphql-request'](auth))
  assert.equal(error.code, 'url_not_allowed')
  world.close()
  const refused = await errorOf(open(respond, { rule: url }))
  assert.equal(refused.code, 'config_invalid')
})
