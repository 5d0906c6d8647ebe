/** An app with a callback page of its own, as in docs/callback-page.md. */
import { htmlWith } from './app.mjs'

/** The headers of docs/callback-page.md. */
export const CALLBACK_HEADERS = {
  'Content-Security-Policy': "frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
}

/** The headers of docs/callback-page.md for the app's other pages. */
export const PAGE_HEADERS = {
  'Content-Security-Policy': "frame-src 'none'; object-src 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
}

/** Headers that a site would send without the document, which protect nothing. */
export const NO_HEADERS = {
  'Content-Security-Policy': null,
  'Cross-Origin-Opener-Policy': null,
  'Referrer-Policy': 'unsafe-url',
  'Cache-Control': null,
}

/** Leaves out the headers of the app, as an error page of a server does. */
export const NOTHING = Object.fromEntries(Object.keys(NO_HEADERS).map((name) => [name, null]))

const workersScript = (extendedLifetime, name) => `
export const shared = (name) =>
  new SharedWorker('/auth.worker.js', { type: 'module', name, extendedLifetime: ${extendedLifetime} })
export const dedicated = (name) => new Worker('/auth.worker.js', { type: 'module', name: ${name} })
`

/** The app: `boot` resolves when `auth` is connected, and `returned` lists the targets that `onReturn` was given. */
const mainScript = (kind, account, options) => `
import '/tools.js'
import { ${kind} } from '/workers.js'
globalThis.returned = []
const onReturn = (path) => {
  returned.push(path)
  history.replaceState(null, '', path)
}
globalThis.auth = createAuth({ ${kind}, account: ${account} }, { ...${JSON.stringify(options)}, onReturn })
globalThis.changes = []
globalThis.boot = settle(auth.connect().then(() => describeState()))
const describeState = () => ({ user: auth.state.session?.claims.sub ?? null, code: auth.state.error?.code ?? null })
Object.assign(globalThis, { describeState })
`

const callbackScript = (kind, hasApp, home) => `
import { finishLogin } from '/strongroom/callback.js'
import { ${kind} } from '/workers.js'
finishLogin({ ${kind}, ${hasApp ? "app: () => import('/main.js')," : ''} ${home ? `home: '${home}'` : ''} })
`

/**
 * Lets an app of `startApp()` use `createAuth()` and a callback page. All of its other paths show the app.
 *
 * @param {object} app
 * @param {object} [options]
 * @param {'shared' | 'dedicated'} [options.kind]
 * @param {number} [options.account] The account of the app's page.
 * @param {string} [options.name] The expression for the name of dedicated workers.
 * @param {boolean} [options.extendedLifetime]
 * @param {boolean} [options.hasApp] True if `finishLogin()` gets the option `app`.
 * @param {string} [options.home] The option `home` of `finishLogin()`.
 * @param {object} [options.connect] Options of `createAuth()`.
 */
export function useCallbackPage(
  { site },
  {
    kind = 'shared',
    account,
    name = 'name',
    extendedLifetime = true,
    hasApp = true,
    home = '',
    connect = {},
  } = {},
) {
  for (const path of ['/orders', '/inbox']) site.routes[path] = '/index.html'
  site.routes['/callback'] = '/callback.html'
  // The module requests its own headers.
  site.pageCsp = site.pageCsp.replace("connect-src 'none'", "connect-src 'self'")
  for (const [path, headers] of [
    ['/index.html', PAGE_HEADERS],
    ['/callback.html', CALLBACK_HEADERS],
  ]) {
    const policy = `${site.pageCsp}; ${headers['Content-Security-Policy']}`
    site.headers[path] = { ...headers, 'Content-Security-Policy': policy }
  }
  Object.assign(site.files, {
    '/index.html': htmlWith('/main.js'),
    '/callback.html': htmlWith('/callback.js'),
    '/callback.js': callbackScript(kind, hasApp, home),
    '/main.js': mainScript(kind, account, connect),
    '/workers.js': workersScript(extendedLifetime, name),
  })
}
