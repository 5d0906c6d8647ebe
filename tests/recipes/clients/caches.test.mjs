// Caches of data when another user has signed in. `caches.mjs` is written from the guide.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JSDOM } from 'jsdom'
import { caches, loadApollo, onEvent } from './caches.mjs'
import { open, ORIGIN } from './world.mjs'

const time = { timeout: 30_000 }

const { window } = new JSDOM('<div id="app"></div>', { url: 'http://localhost/', pretendToBeVisual: true })
for (const name of ['document', 'navigator', 'HTMLElement', 'HTMLIFrameElement']) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true })
}
globalThis.window = window
globalThis.IS_REACT_ACT_ENVIRONMENT = true
const { act, createElement: h } = await import('react')
const { createRoot } = await import('react-dom/client')
const { AuthProvider, useSession } = await import('strongroom/react')

const url = `${ORIGIN}/orders`

/**
 * Each cache as an app uses it: the names that the guide's code reads, the provider of the cache, and a hook that
 * returns the owner of the cached orders.
 */
const APPS = {
  async 'TanStack Query'(auth) {
    const { QueryClient, QueryClientProvider, useQuery } = await import('@tanstack/react-query')
    const queryClient = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, gcTime: 0 } } })
    const queryFn = () => auth.fetch(url).then((response) => response.json())
    return {
      names: { queryClient },
      around: (children) => h(QueryClientProvider, { client: queryClient }, children),
      useOwner: () => useQuery({ queryKey: ['orders'], queryFn }).data?.orders[0].owner,
    }
  },
  async SWR(auth) {
    const { default: useSWR, SWRConfig, useSWRConfig } = await import('swr')
    const names = {}
    const fetcher = (path) => auth.fetch(path).then((response) => response.json())
    return {
      names,
      useNames: () => Object.assign(names, useSWRConfig()),
      around: (children) => h(SWRConfig, { value: { provider: () => new Map() } }, children),
      useOwner: () => useSWR(url, fetcher, { revalidateOnFocus: false }).data?.orders[0].owner,
    }
  },
  async 'Apollo Client'(auth) {
    const { ApolloClient, ApolloProvider, gql, HttpLink, InMemoryCache, useQuery } = await loadApollo()
    const link = new HttpLink({ uri: `${ORIGIN}/graphql`, fetch: auth.fetch })
    const apollo = new ApolloClient({ link, cache: new InMemoryCache() })
    const query = gql('query Orders { orders { id owner } }')
    return {
      names: { apollo },
      around: (children) => h(ApolloProvider, { client: apollo }, children),
      useOwner: () => useQuery(query).data?.orders[0].owner,
    }
  },
  async 'RTK Query'(auth) {
    const { configureStore } = await import('@reduxjs/toolkit')
    const { createApi, fetchBaseQuery } = await import('@reduxjs/toolkit/query/react')
    const { Provider } = await import('react-redux')
    const api = createApi({
      baseQuery: fetchBaseQuery({ baseUrl: `${ORIGIN}/`, fetchFn: auth.fetch }),
      endpoints: (build) => ({ orders: build.query({ query: () => 'orders' }) }),
    })
    const store = configureStore({
      reducer: { [api.reducerPath]: api.reducer },
      middleware: (middleware) => middleware().concat(api.middleware),
    })
    return {
      names: { store, api },
      around: (children) => h(Provider, { store }, children),
      useOwner: () => api.useOrdersQuery().data?.orders[0].owner,
    }
  },
}

/** Shows the first user's orders, and then signs in the second user. Returns the texts of the page. */
async function twoUsers(name, way) {
  /** An API whose response depends on the user. */
  const respond = () => {
    const { sub } = world.auth.state.session.claims
    const data = { orders: [{ __typename: 'Order', id: 1041, owner: sub }] }
    return Response.json({ ...data, data })
  }
  const { world } = await open(respond)
  const { auth } = world
  const { names, useNames, around, useOwner } = await APPS[name](auth)
  const { hook, clear } = caches[name]
  function App() {
    useNames?.()
    if (way === 'hook') hook(names)
    return `${useSession()?.claims.sub} sees orders of ${useOwner()}`
  }
  const text = () => document.body.textContent
  const turn = () =>
    act(async () => {
      await world.settle()
      await new Promise((resolve) => setTimeout(resolve, 1))
    })
  const shows = async (expected) => {
    for (let count = 0; text() !== expected && count < 200; count++) await turn()
    assert.equal(text(), expected)
  }
  const root = createRoot(document.getElementById('app'))
  await act(() => root.render(h(AuthProvider, { auth }, around(h(App)))))
  await shows('alice sees orders of alice')
  if (way === 'event') await onEvent(auth, () => clear(names))
  const before = world.calls.length
  // As another tab does it. There is no state without a session between the two users.
  await act(async () => world.signIn({ name: 'Bob' }))
  return {
    text,
    shows,
    turn,
    calls: () => world.calls.length - before,
    async end() {
      await act(() => root.unmount())
      names.apollo?.stop()
      world.close()
    },
  }
}

for (const name of Object.keys(caches)) {
  for (const way of ['hook', 'event']) {
    test(`${name}: ${way} shows the second user’s data`, time, async () => {
      const page = await twoUsers(name, way)
      await page.shows('bob sees orders of bob')
      assert.equal(page.calls(), 1)
      await page.end()
    })
  }

  test(`${name}: control, the first user’s data remains`, time, async () => {
    const page = await twoUsers(name)
    for (let turn = 0; turn < 30; turn++) await page.turn()
    assert.equal(page.text(), 'bob sees orders of alice')
    assert.equal(page.calls(), 0)
    await page.end()
  })
}
