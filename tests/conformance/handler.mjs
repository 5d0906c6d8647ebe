import { get } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { listen } from '../support/listen.mjs'
import { startTls } from '../support/edge/tls.mjs'
import { backAt, backWhere, TOKEN_REFUSED } from './visits.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)

/** Milliseconds after which the handler exchanges a token that an API refuses: see docs/edge-reference.md. */
const OLD_ENOUGH = 31_000

const PAGE = '<!doctype html><title>An app</title><link rel="icon" href="data:,">'

/**
 * Starts an app with a token handler on Node.
 *
 * @param {{ https?: boolean }} options With `https`, behind a server that terminates TLS.
 */
export async function startHandler({ https = false }) {
  const [{ createTokenHandler, inIsolate }, { toNodeListener }] = await Promise.all([
    import(new URL('edge.js', dist)),
    import(new URL('edge/node.js', dist)),
  ])
  let listener
  const server = await listen({
    host: 'localhost',
    handler(request, response) {
      const path = request.url.split('?')[0]
      if (path === '/upstream/token') {
        response.writeHead(TOKEN_REFUSED.status, TOKEN_REFUSED.headers).end()
      } else if (path === '/') {
        response.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end(PAGE)
      } else listener(request, response)
    },
  })
  const tls = https ? await startTls() : undefined
  tls?.forwardTo(server.origin)
  const { origin } = tls ?? server

  return {
    origin,
    redirectUri: `${origin}/auth/callback`,
    initiateLoginUri: `${origin}/auth/login`,
    /** Returns the client of a module: a handler, and a browser that has seen nothing. */
    open({ context, issuer, client, scope, steps, note, options, resource, idToken }) {
      const handler = createTokenHandler({
        issuer,
        client,
        scope,
        cookie: { keys: Buffer.alloc(32, 7).toString('base64') },
        origin,
        userInfo: steps.userInfo && !resource,
        routes: [
          { prefix: '/expired/', upstream: `${server.origin}/upstream/` },
          { prefix: '/provider/', upstream: `${issuer}${resource?.folder ?? ''}` },
        ],
        postLogoutRedirectUri: '/',
        coordinator: inIsolate(),
        log: ({ code, message }) => note(`log: ${code}: ${message}`),
        ...options,
      })
      listener = toNodeListener(handler)

      /** Resolves with true if the user has a session. The page of a refused login may not ask, so another page does. */
      async function isSignedIn() {
        const page = await context.newPage()
        await page.goto(`${origin}/`)
        const { status, text } = await callFrom(page, '/auth/session')
        await page.close()
        if (status !== 200) throw new Error(`/auth/session: ${status} ${text}`)
        note(`session: ${text}`)
        return JSON.parse(text).session !== null
      }

      return {
        isSignedIn,
        /** Plays the user's part in a module: signs in, and does what `steps` says. */
        async run(startAt) {
          if (steps.stopsBeforeLogin) return note(`login: ${await navigate(`${origin}/auth/login`)}`)
          const page = await context.newPage()
          // A login that another site begins passes a page of the handler on its way to the provider.
          const isBack = startAt ? (url) => url === `${origin}/` : (url) => url.startsWith(`${origin}/`)
          const back = backWhere(page, isBack)
          await page.goto(startAt ?? `${origin}/auth/login`).catch((error) => note(`login: ${error.message}`))
          note(`login: ${await back} (${new URL(page.url()).pathname})`)
          if (!(await isSignedIn())) return
          const name = resource?.name ?? 'userinfo'
          if (resource) note(`call: ${JSON.stringify(await callFrom(page, `/provider/${name}`))}`)
          if (steps.refresh) {
            await wait(OLD_ENOUGH)
            note(`refresh: ${JSON.stringify(await callFrom(page, '/expired/token'))}`)
            note(`call: ${JSON.stringify(await callFrom(page, `/provider/${name}`))}`)
          }
          if (steps.logout) {
            const url =
              steps.logout === 'app' ? await logOut(page) : endSession(issuer, await idToken(), origin)
            const returned = backAt(page, `${origin}/`)
            await page.goto(url)
            note(`logout: ${await returned}`)
          }
        },
      }

      /** Ends the session in the app. Resolves with the URL that ends it at the provider. */
      async function logOut(page) {
        const { text } = await callFrom(page, '/auth/logout', 'POST')
        note(`logout: ${text}`)
        return new URL(JSON.parse(text).url, origin).href
      }
    },
    async close() {
      await tls?.close()
      await server.close()
    },
  }
}

/** Returns the URL at which the user logs out at the provider. */
function endSession(issuer, idToken, origin) {
  const url = new URL('end_session_endpoint', issuer)
  url.searchParams.set('id_token_hint', idToken)
  url.searchParams.set('post_logout_redirect_uri', `${origin}/`)
  return url.href
}

/**
 * Sends a request as a browser that navigates, without following redirects. Resolves with the status. `fetch` would send
 * another `Sec-Fetch-Mode`.
 */
const navigate = (url) =>
  new Promise((resolve, reject) => {
    const headers = { 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-Site': 'none' }
    get(url, { headers }, (response) => resolve(response.resume().statusCode)).on('error', reject)
  })

/** Calls a path of the app as a script of its page. */
const callFrom = (page, path, method = 'GET') =>
  page.evaluate(
    async ([address, options]) => {
      try {
        const response = await fetch(address, options)
        return { status: response.status, text: (await response.text()).slice(0, 400) }
      } catch (error) {
        return { status: 0, text: String(error) }
      }
    },
    [path, { method, headers: { 'X-Strongroom': '1' } }],
  )
