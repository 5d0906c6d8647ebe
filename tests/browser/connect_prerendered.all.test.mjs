// A prerendered page is loaded before the user opens it, and the user may never open it. Chromium starts the page's
// workers only when the page is shown.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { serveApp, startApp } from '../support/app.mjs'
import { SERVICE_WORKER, serveMedia } from '../support/media.mjs'
import { servePrerendering } from '../support/prerender.mjs'

const time = { timeout: 60_000 }

let app
let pages

/** The time limit in seconds for the vault's response. */
const LIMIT = 4

before(async () => {
  app = await startApp({ resume: 'redirect', timeout: LIMIT, config: { scope: 'openid profile orders' } })
  pages = await servePrerendering(app.site, '/?shown', async () => {
    await pages.report('started')
    await new Promise((resolve) => setTimeout(resolve, (LIMIT + 1) * 1000))
  })
  app.site.pageCsp = `default-src 'none'; script-src 'self' 'inline-speculation-rules'; worker-src 'self'; img-src data:; connect-src ${pages.origin}`
  app.site.files['/page.js'] = `${pages.reporting}
await report({ what: 'started', path: location.pathname })
document.addEventListener('prerenderingchange', () => report({ what: 'shown' }))
${app.site.files['/page.js']}
const outcome = await boot
await report({ what: 'connected', outcome, session: globalThis.auth?.session ?? null, path: location.pathname + location.search })`
})
after(() => Promise.all([app?.close(), pages?.close()]))

test('connect() waits until it is shown, and only then goes to the provider', time, async () => {
  const close = await pages.open()
  try {
    const started = await pages.report('started')
    assert.equal(started.prerendering, true, 'the page was not prerendered')
    const shown = await pages.report('shown')
    // This is longer than the time limit for the vault's response. The time limit starts only when the page is shown.
    assert.ok(shown.at - started.at > LIMIT * 1000)
    const connected = await pages.report('connected')
    assert.deepEqual(connected.outcome, { value: { returnTo: '/?shown' } })
    assert.equal(connected.session, null)
    assert.equal(connected.path, '/?shown')
    const trips = app.ledger.authorizationRequests()
    assert.equal(trips.length, 1)
    assert.ok(trips[0].at >= shown.at, 'a hidden page navigated to the provider')
  } finally {
    await close()
  }
})

test(
  'page that was prerendered for long connects although the server fails for the worker’s file',
  time,
  async (t) => {
    const other = await serveApp()
    t.after(() => other.close())
    const link = await servePrerendering(other.site, '/?shown', () => link.report('late'))
    t.after(link.close)
    other.site.override('/auth.worker.js', { status: 502, body: '502', times: 1 })
    other.site.pageCsp = `default-src 'none'; script-src 'self' 'inline-speculation-rules'; worker-src 'self'; img-src data:; connect-src 'self' ${link.origin}`
    other.site.files['/page.js'] = `${link.reporting}
import '/tools.js'
const timeout = 2
settle(createAuth({ shared: create.shared }, { timeout }).connect()).then(({ error }) => report({ what: 'outcome', code: error?.code }))
setTimeout(() => report({ what: 'late' }), timeout * 1000)`
    const close = await link.open()
    try {
      assert.equal((await link.report('late')).prerendering, true, 'the page was not prerendered')
      const { code, prerendering } = await link.report('outcome')
      assert.deepEqual([code, prerendering], [undefined, false])
    } finally {
      await close()
    }
  },
)

test('picture of a service worker waits until the page is shown', time, async (t) => {
  const other = serveMedia(await serveApp(), {
    serviceWorker: `${SERVICE_WORKER}addEventListener('activate', (event) => event.waitUntil(clients.claim()))`,
  })
  t.after(() => other.close())
  const prepare = `
const { serviceWorker } = navigator
const controlled = new Promise((resolve) => (serviceWorker.oncontrollerchange = resolve))
await serviceWorker.register('/sw.js', { type: 'module' })
await controlled`
  const link = await servePrerendering(other.site, '/?shown', () => link.report('started'), prepare)
  t.after(link.close)
  other.site.pageCsp = `default-src 'none'; script-src 'self' 'inline-speculation-rules'; worker-src 'self'; img-src 'self' data:; connect-src ${link.origin}`
  other.site.files['/page.js'] = `${link.reporting}
import '/tools.js'
const auth = createAuth({ shared: create.shared })
const picture = new Image()
picture.onload = picture.onerror = () => {
  const [{ responseStatus }] = performance.getEntriesByName(picture.src)
  report({ what: 'picture', responseStatus })
}
picture.src = '/media/picture'
await report({ what: 'started' })`
  const close = await link.open()
  try {
    assert.equal((await link.report('started')).prerendering, true, 'the page was not prerendered')
    // Nobody is signed in. The vault says so, when it runs.
    const { responseStatus, prerendering } = await link.report('picture')
    assert.deepEqual([responseStatus, prerendering], [502, false])
  } finally {
    await close()
  }
})
