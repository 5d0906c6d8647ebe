// Behaviors that an app's test sees in the same way through strongroom/testing and through a vault in a browser.
//
// A case runs in the page. It gets `auth`, which createAuth() or the test double has returned; `api`, the URL of the API
// in tests/support/api.mjs or its stand-in; `settle`, which describes the outcome of a promise; and `world`, whose
// functions act on the surroundings. The value that a case returns must equal `expected`.

/** Cases without a session. */
export const SIGNED_OUT = [
  {
    name: 'there is no session at first',
    run: async ({ auth }) => {
      const { status, session, endReason, error } = auth.state
      return { status, session, endReason, error }
    },
    expected: { status: 'connected', session: null, endReason: null, error: null },
  },
  {
    name: 'call without session asks for login',
    run: ({ auth, api, settle }) => settle(auth.fetch(api + 'orders')),
    expected: { code: 'login_required' },
  },
  {
    name: 'aborted call rejects with AbortError',
    run: ({ auth, api, settle }) => settle(auth.fetch(api + 'orders', { signal: AbortSignal.abort() })),
    expected: { name: 'AbortError' },
  },
  {
    name: 'unknown login option is refused',
    run: ({ auth, settle }) => settle(auth.login({ mode: 'redirect', colour: 'red' })),
    expected: { code: 'message_invalid' },
  },
]

/** Cases in which a user is signed in, and stays signed in. */
export const SIGNED_IN = [
  {
    name: 'session has claims of its user',
    run: async ({ auth }) => ({
      sub: auth.state.session.claims.sub,
      state: auth.state.session.state,
      isStable: auth.state === auth.state,
    }),
    expected: { sub: 'alice', state: 'active', isStable: true },
  },
  {
    name: 'call has a response with a body',
    run: async ({ auth, api }) => {
      const response = await auth.fetch(api + 'orders')
      const { status, ok, type, redirected, url } = response
      const [order] = await response.json()
      return { status, ok, type, redirected, path: url.slice(api.length), id: order.id }
    },
    expected: { status: 200, ok: true, type: 'cors', redirected: false, path: 'orders', id: 1041 },
  },
  {
    name: 'body of a request arrives',
    run: async ({ auth, api }) => {
      const body = JSON.stringify({ item: 'Lamp', quantity: 2 })
      const headers = { 'Content-Type': 'application/json' }
      const response = await auth.fetch(api + 'orders', { method: 'POST', headers, body })
      const { item, quantity } = await response.json()
      return { status: response.status, item, quantity }
    },
    expected: { status: 201, item: 'Lamp', quantity: 2 },
  },
  {
    name: 'status without a body has none',
    run: async ({ auth, api }) => {
      const { status, body } = await auth.fetch(api + 'status/204')
      return { status, body }
    },
    expected: { status: 204, body: null },
  },
  {
    name: 'error of the API is a response',
    run: async ({ auth, api }) => {
      const response = await auth.fetch(api + 'status/500')
      return { status: response.status, text: await response.text() }
    },
    expected: { status: 500, text: 'status 500\n' },
  },
  {
    name: 'URL without rule is refused',
    run: ({ auth, settle }) => settle(auth.fetch('https://elsewhere.example/')),
    expected: { code: 'url_not_allowed' },
  },
  {
    name: 'method without rule is refused',
    run: ({ auth, api, settle }) => settle(auth.fetch(api + 'orders', { method: 'DELETE' })),
    expected: { code: 'method_not_allowed' },
  },
  {
    name: 'page cannot set Authorization',
    run: ({ auth, api, settle }) =>
      settle(auth.fetch(api + 'orders', { headers: { Authorization: 'Bearer mine' } })),
    expected: { code: 'header_not_allowed' },
  },
  {
    name: 'redirect of the API is refused',
    run: ({ auth, api, settle }) => settle(auth.fetch(api + 'redirect')),
    expected: { code: 'redirect_blocked' },
  },
  {
    name: 'response with the token is refused',
    run: ({ auth, api, settle }) =>
      settle(auth.fetch(api + 'on/reflect').then((response) => response.text())),
    expected: { code: 'token_reflected' },
  },
  {
    name: 'length is told only with the whole body',
    run: async ({ auth, api }) => {
      const told = async (method) => {
        const response = await auth.fetch(api + 'on/length', { method })
        return [response.headers.get('content-length'), (await response.text()).length]
      }
      // On a busy machine, a body may be later than its head waits.
      let whole
      for (let take = 0; take < 3 && !whole?.[0]; take++) whole = await told('GET')
      return { GET: whole, HEAD: await told('HEAD') }
    },
    expected: { GET: ['5', 5], HEAD: [null, 0] },
  },
  {
    name: 'late body does not hold its head back',
    run: async ({ auth, api }) => {
      const response = await auth.fetch(api + 'on/late')
      const length = response.headers.get('content-length')
      await auth.fetch(api + 'on/go-on')
      return { length, text: await response.text() }
    },
    expected: { length: null, text: 'late' },
  },
  {
    name: 'network failure rejects with TypeError',
    run: ({ auth, api, settle }) => settle(auth.fetch(api + 'on/broken')),
    expected: { name: 'TypeError' },
  },
  {
    name: 'calls with expired token share a refresh',
    run: async ({ auth, api, world }) => {
      await world.expire()
      const before = await world.refreshes()
      const responses = await Promise.all([1, 2, 3].map(() => auth.fetch(api + 'orders')))
      return {
        statuses: responses.map(({ status }) => status),
        refreshes: (await world.refreshes()) - before,
      }
    },
    expected: { statuses: [200, 200, 200], refreshes: 1 },
  },
  {
    name: 'outage of the provider keeps the session',
    run: async ({ auth, api, settle, world }) => {
      await world.expire()
      await world.down()
      const refused = await settle(auth.fetch(api + 'orders'))
      const isSignedIn = !!auth.state.session
      await world.up()
      return { refused, isSignedIn }
    },
    expected: { refused: { code: 'provider_unavailable' }, isSignedIn: true },
  },
]

/** Returns the configuration options for EXTENDED, whose APIs extend this rule. */
export const extend = (rule) => ({
  session: { persist: 'sealed' },
  apis: [{ ...rule, webSocket: { token: 'protocol', prefix: 'bearer.' } }],
})

/** Cases in which a user is signed in, and the configuration has the options of `extend()`. */
export const EXTENDED = [
  {
    name: 'stored session survives a crash',
    run: async ({ auth, api, world, until }) => {
      const { startedAt } = auth.state.session
      const disconnected = until(({ status }) => status !== 'connected')
      await world.crash()
      await disconnected
      await until(({ status, session }) => status === 'connected' && session)
      const { session, endReason } = auth.state
      // The new worker derives the start from the session's age.
      const isSame = Math.abs(session.startedAt - startedAt) < 1000
      const call = (await auth.fetch(api + 'orders')).status
      return { sub: session.claims.sub, isSame, endReason, call }
    },
    expected: { sub: 'alice', isSame: true, endReason: null, call: 200 },
  },
  {
    name: 'crash restores no session after logout',
    run: async ({ auth, world, until }) => {
      await auth.logout()
      const disconnected = until(({ status }) => status !== 'connected')
      await world.crash()
      await disconnected
      await until(({ status }) => status === 'connected')
      return { session: auth.state.session, error: auth.state.error }
    },
    expected: { session: null, error: null },
  },
  {
    name: 'socket carries messages until logout',
    run: async ({ auth, api }) => {
      const socket = auth.webSocket(api + 'live/protocol', ['chat'])
      const next = (type) => new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }))
      await next('open')
      socket.send('hello')
      const { data } = await next('message')
      const closed = next('close')
      await auth.logout()
      const { code, reason, wasClean } = await closed
      return { protocol: socket.protocol, data, code, reason, wasClean }
    },
    expected: { protocol: 'chat', data: 'hello', code: 3000, reason: 'logged_out', wasClean: true },
  },
]

/** Cases that end the session. */
export const ENDING = [
  {
    name: 'logout ends the session',
    run: async ({ auth, api, settle }) => {
      const { revoked } = await auth.logout()
      const { session, endReason } = auth.state
      const call = await settle(auth.fetch(api + 'orders'))
      return { revoked, session, endReason, call, guard: await auth.requireSession() }
    },
    expected: {
      revoked: true,
      session: null,
      endReason: 'logged_out',
      call: { code: 'login_required' },
      guard: null,
    },
  },
  {
    name: 'sign-out in another tab ends the session',
    run: async ({ auth, api, settle, world, until }) => {
      const isOver = until(({ session }) => !session)
      await world.signOut()
      const { session, endReason } = await isOver
      const call = await settle(auth.fetch(api + 'orders'))
      return { session, endReason, call, guard: await auth.requireSession() }
    },
    expected: { session: null, endReason: 'logged_out', call: { code: 'login_required' }, guard: null },
  },
  {
    name: 'revoked session ends at the next refresh',
    run: async ({ auth, api, settle, world }) => {
      await world.revoke()
      await world.expire()
      const call = await settle(auth.fetch(api + 'orders'))
      return { call, session: auth.state.session, endReason: auth.state.endReason }
    },
    expected: { call: { code: 'session_ended' }, session: null, endReason: 'provider_ended' },
  },
  {
    name: 'crash of the worker loses the session',
    run: async ({ auth, world, until }) => {
      const isLost = until(({ session, status }) => !session && status === 'connected')
      await world.crash()
      const { status, session, error } = await isLost
      return { status, session, error }
    },
    expected: { status: 'connected', session: null, error: null },
  },
]
