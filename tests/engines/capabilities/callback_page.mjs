/**
 * A callback page of its own (docs/callback-page.md): sessions that survive the page, sessions that do not, and what
 * script of the app's other pages can read of a login that it begins itself.
 */
import assert from 'node:assert/strict'
import { giveConsent } from '../../support/engines/app.mjs'
import { ignoreNavigation, waitFor } from '../../support/engines/driver.mjs'
import { CALLBACK_HEADERS, NO_HEADERS, useCallbackPage } from '../../support/callback_page.mjs'
import { ownRequest } from '../../support/own_request.mjs'
import { VAULT_HOSTS } from '../../support/vault_origin.mjs'

const provider = { host: `id.${VAULT_HOSTS.app.split('.').slice(1).join('.')}`, accessTokenSeconds: 60 }
const config = { callbackPage: true, scope: 'openid profile offline_access orders' }

/** Signs in by redirect. Resolves with the app's state after the login. */
async function signIn(tab) {
  await waitFor(tab, () => typeof boot === 'object')
  await tab.evaluate(() => boot)
  await tab.evaluate(() => void auth.login().catch(() => {})).catch(ignoreNavigation)
  await giveConsent(tab)
  await waitFor(tab, () => location.pathname === '/orders' && typeof boot === 'object')
  return tab.evaluate(() => boot)
}

/** Returns true if the app runs in the document of the callback page. */
const isCallbackDocument = (tab) =>
  tab.evaluate(() => new URL(performance.getEntriesByType('navigation')[0].name).pathname === '/callback')

const ALICE = { value: { user: 'alice', code: null } }

const sealed = {
  name: 'callback page: the browser goes on to the app if the session is sealed',
  async see({ visit }) {
    const { tab } = await visit('/orders')
    assert.deepEqual(await signIn(tab), ALICE)
    assert.equal(await isCallbackDocument(tab), false)
  },
}

const inMemory = {
  name: 'callback page: the app starts in the same document if the session is in memory',
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    assert.deepEqual(await signIn(tab), ALICE)
    assert.equal(await isCallbackDocument(tab), true)
    assert.equal(
      await tab.evaluate((url) => auth.fetch(url).then(({ status }) => status), `${app.api.url}orders`),
      200,
    )
  },
}

/**
 * Shows the URL in a frame or popup, or with `opener` looks at the page that has opened this one. Resolves with everything
 * that script can read of this window, by place. Runs in the page.
 */
function read(window, url, limit) {
  let target = opener
  if (window === 'popup') target = open(url, '_blank', 'popup')
  else if (window === 'frame') {
    const frame = document.createElement('iframe')
    frame.setAttribute('sandbox', 'allow-same-origin')
    frame.src = url
    document.body.append(frame)
    target = frame.contentWindow
  }
  const places = {
    location: () => target.location.href,
    performance: () => target.performance.getEntriesByType('navigation')[0].name,
    'navigation entries': () =>
      target.navigation
        .entries()
        .map((entry) => entry.url)
        .join(),
    'navigation.activation': () => target.navigation.activation.entry.url,
    referrer: () => target.document.referrer,
  }
  const seen = {}
  return new Promise((resolve) => {
    let end = performance.now() + limit
    const timer = setInterval(() => {
      for (const [place, get] of Object.entries(places)) {
        try {
          const text = get()
          if (text.includes('code=')) seen[place] = text
        } catch {
          // The window is at another origin, or the engine does not have this place.
        }
      }
      // The other places have the address a moment later.
      if (seen.location) end = Math.min(end, performance.now() + 300)
      if (performance.now() < end) return
      clearInterval(timer)
      if (window === 'popup') target.close()
      resolve(seen)
    }, 1)
  })
}

/** Runs `read()` after a click. */
function begin(script, ...given) {
  document.body.innerHTML = '<button>Attack</button>'
  document.querySelector('button').onclick = () => (globalThis.seen = eval(`(${script})`)(...given))
}

/** Resolves with the places in which script can read the code of a login that it begins, such as `popup location`. */
async function readable(app, tab, expected) {
  const found = []
  // The callback page's script would remove the response at once.
  const release = app.site.override('/callback.js', { body: '' })
  for (const window of ['frame', 'popup', 'opener']) {
    const before = app.ledger.entries.length
    const { url } = ownRequest(app, `${app.site.origin}/callback`)
    // A slow machine must not hide what script can read.
    const limit = expected.includes(window) ? 20_000 : 4000
    let looking
    if (window === 'opener') {
      await tab.evaluate(begin, '() => void open("/empty")')
      const child = await tab.session.openedBy(() => tab.click('button'))
      looking = child.evaluate(read, window, '', limit)
      await tab.goto(url)
    } else {
      await tab.evaluate(begin, String(read), window, url, limit)
      await tab.click('button')
      looking = tab.evaluate(() => globalThis.seen)
    }
    const seen = await looking
    const codes = app.ledger.entries.slice(before).filter(({ kind }) => kind === 'authorization_code')
    assert.equal(codes.length, 1, window)
    const places = Object.keys(seen).filter((place) => seen[place].includes(codes[0].value))
    found.push(...places.map((place) => `${window} ${place}`))
  }
  release()
  await tab.goto(`${app.site.origin}/orders`)
  return found
}

/** For each set of headers, the windows whose addresses script can read. */
const WINDOWS = {
  documented: [],
  none: ['frame', 'popup', 'opener'],
  'Content-Security-Policy': ['popup', 'opener'],
  'Cross-Origin-Opener-Policy': ['frame'],
}

const attacks = {
  name: 'callback page: script reads no response of its own login, by a frame, a popup or an opener',
  timeout: 180_000,
  async see({ app, visit }) {
    const { tab } = await visit('/orders')
    await signIn(tab)
    const { '/callback.html': documented } = app.site.headers
    for (const [name, windows] of Object.entries(WINDOWS)) {
      const alone = { ...NO_HEADERS, ...(documented[name] && { [name]: documented[name] }) }
      app.site.headers['/callback.html'] = name === 'documented' ? documented : alone
      const found = await readable(app, tab, windows)
      // Each engine has these two places of a window. Without a header, script reads the code there.
      const places = windows.flatMap((window) => [`${window} location`, `${window} performance`])
      const others = found.filter((place) => !windows.includes(place.split(' ')[0]))
      assert.deepEqual(
        { name, missing: places.filter((place) => !found.includes(place)), others },
        { name, missing: [], others: [] },
      )
    }
    app.site.headers['/callback.html'] = documented
  },
}

const group = (name, changes, capabilities) => ({
  name,
  app: { kind: 'dedicated', config: { ...config, ...changes }, provider, site: { host: VAULT_HOSTS.app } },
  prepare(app) {
    app.site.pageCsp = ''
    useCallbackPage(app, { kind: 'dedicated' })
    // Without headers of the app's other pages: the best conditions for an attacker.
    for (const path of ['/index.html', '/empty.html']) {
      app.site.headers[path] = { 'Content-Security-Policy': null, 'Cross-Origin-Opener-Policy': null }
    }
    app.site.headers['/callback.html'] = CALLBACK_HEADERS
  },
  capabilities,
})

/** @type {import('../suite.mjs').Group[]} */
export const callbackPage = [
  group('callback page, sealed', { session: { persist: 'sealed' } }, [sealed, attacks]),
  group('callback page, in memory', {}, [inMemory]),
]
