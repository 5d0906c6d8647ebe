import { readFile } from 'node:fs/promises'
import { booted, call, htmlWith, PACKAGE, pageScript, tools } from '../support/app.mjs'
import { startTls } from '../support/edge/tls.mjs'
import { startSite } from '../support/site.mjs'
import { backAt, TOKEN_REFUSED } from './visits.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)
const WORKER = '/auth.worker.js'

const PAGE = pageScript({ kind: 'shared', timeout: 10 })

/** The page of an app that another site opens for a login. */
const ELSEWHERE = `
import '/tools.js'
globalThis.auth = createAuth({ shared: create.shared })
globalThis.stop = auth.subscribe(() => {})
`

/**
 * Starts an app with a vault.
 *
 * @param {{ suite: { origin: string }, https?: boolean }} options With `https`, behind a server that terminates TLS.
 */
export async function startVault({ suite, https = false }) {
  const site = await startSite({ connectSrc: [suite.origin] })
  // The worker is not bundled, so it also loads the package's files.
  site.pageCsp = "default-src 'none'; script-src 'self'; worker-src 'self'; img-src data:; base-uri 'none'"
  Object.assign(site.files, {
    '/index.html': htmlWith('/page.js'),
    '/tools.js': tools(true),
  })
  for (const name of PACKAGE) site.files[`/strongroom/${name}`] = await readFile(new URL(name, dist))
  const tls = https ? await startTls() : undefined
  tls?.forwardTo(site.origin)
  const { origin } = tls ?? site
  const expired = `${origin}/expired/`
  site.override('/expired/token', TOKEN_REFUSED)

  return {
    origin,
    redirectUri: `${origin}/callback`,
    initiateLoginUri: `${origin}/start`,
    /** Returns the client of a module: a vault, and a browser that has seen nothing. */
    async open({ context, issuer, clientId, scope, steps, note, options }) {
      const userInfo = `${issuer}userinfo`
      site.files[WORKER] = workerScript({
        issuer,
        clientId,
        scope,
        redirectUri: '/callback',
        userInfo: steps.userInfo,
        idTokenHint: true,
        initiateLoginUri: '/start',
        apis: [{ url: userInfo, exact: true }, { url: expired }],
        ...options,
      })
      site.files['/page.js'] = PAGE
      const openPage = async () => {
        const page = await context.newPage()
        page.on('console', (message) => note(`console: ${message.text()}`))
        return page
      }
      // This page stays open, so that all logins of a module use one worker.
      await booted(await openAt(await openPage(), origin))

      return {
        async isSignedIn() {
          // A login that another site began has left another page there.
          site.files['/page.js'] = PAGE
          const page = await openAt(await openPage(), origin)
          const { error } = await booted(page)
          if (error) throw new Error(`${error.code}: ${error.message}`)
          const session = await page.evaluate(() => auth.session)
          await page.close()
          note(`session: ${JSON.stringify(session)}`)
          return session !== null
        },
        /** Plays the user's part in a module: signs in, and does what `steps` says. */
        async run(startAt) {
          const page = await openPage()
          if (startAt) return note(`login: ${await signInElsewhere(page, site, startAt)}`)
          await openAt(page, origin)
          const login = await signIn(page, origin, steps)
          note(`login: ${JSON.stringify(login)}`)
          if (login.error || login.stopped) return
          if (steps.refresh) {
            // This API refuses each token, so the vault gets another one.
            note(`refresh: ${JSON.stringify(await call(page, `${expired}token`))}`)
            note(`UserInfo: ${JSON.stringify(await call(page, userInfo))}`)
          }
          if (steps.logout) {
            const left = backAt(page, origin)
            await page.evaluate(() => void auth.logout({ provider: true, returnTo: '/' }).catch(() => {}))
            note(`logout: ${await left}`)
          }
        },
      }
    },
    async close() {
      await tls?.close()
      await site.close()
    },
  }
}

async function openAt(page, address) {
  await page.goto(address)
  return page
}

const workerScript = (config) => `
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify(config)})
`

/** Opens `startAt`, which opens the app for a login. Resolves with the state of the app after the login. */
async function signInElsewhere(page, site, startAt) {
  site.files['/page.js'] = ELSEWHERE
  site.routes['/start'] = '/index.html'
  await page.goto(startAt).catch((error) => error)
  const state = await page.waitForFunction(() => {
    const { session, error } = globalThis.auth?.state ?? {}
    return (session && `signed in as ${session.claims.sub}`) ?? error?.code
  })
  return state.jsonValue()
}

/** Resolves with the result of `handleCallback()`, or with the error of `login()`. */
async function signIn(page, origin, { stopsBeforeLogin }) {
  const start = await booted(page)
  if (start.error) return start
  if (stopsBeforeLogin) {
    const reached = page.waitForRequest(/\/authorize\?/, { timeout: 10_000 })
    await page.route(/\/authorize\?/, (route) => route.abort())
    await page.evaluate(() => void auth.login().catch(() => {}))
    return reached.then(
      () => ({ stopped: 'at the authorization request' }),
      () => ({ error: 'no authorization request' }),
    )
  }
  const back = backAt(page, `${origin}/callback`)
  // A login that succeeds leaves the page, and with it this function.
  const refused = page
    // A user who is signed in goes to the provider only if the login asks for it.
    .evaluate(() => settle(auth.login(auth.session ? { prompt: 'login' } : {})))
    .then(
      ({ error }) => error && { error },
      () => undefined,
    )
  const first = await Promise.race([refused.then((error) => error ?? back), back])
  if (first?.error) return first
  return first === 'back' ? booted(page) : { error: first }
}
