// A prerendered page is loaded before the user opens it, and the user may never open it. Chromium starts the page's
// workers only when the page is shown. Chromium does not prerender under a debugger, so this browser runs without a
// debugger, and its pages report to a server.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startApp } from '../support/app.mjs'
import { ARGS, findBrowser } from '../support/browser.mjs'
import { listen } from '../support/listen.mjs'
import { until } from '../support/until.mjs'

const time = { timeout: 60_000 }

let app
let reports
const heard = []

/** The time limit in seconds for the vault's response. */
const LIMIT = 4

/** Returns the HTML of a page that prerenders another page, and navigates to it when the server of the reports says so. */
const speculating = (path) => `<!doctype html>
<meta charset="utf-8"><title>A page with a link</title><link rel="icon" href="data:,">
<script type="speculationrules">{"prerender":[{"urls":["${path}"],"eagerness":"immediate"}]}</script>
<script type="module" src="/follow.js"></script>`

before(async () => {
  app = await startApp({ resume: 'redirect', timeout: LIMIT, config: { scope: 'openid profile orders' } })
  reports = await listen({
    async handler(request, response) {
      if (request.url === '/go') {
        await report('started')
        await new Promise((resolve) => setTimeout(resolve, (LIMIT + 1) * 1000))
      } else heard.push({ at: Date.now(), ...JSON.parse(decodeURIComponent(request.url.slice(1))) })
      response.writeHead(204, { 'Access-Control-Allow-Origin': '*' }).end()
    },
  })
  app.site.pageCsp = `default-src 'none'; script-src 'self' 'inline-speculation-rules'; worker-src 'self'; img-src data:; connect-src ${reports.origin}`
  const reporting = `
const report = (what) => fetch('${reports.origin}/' + encodeURIComponent(JSON.stringify({ ...what, prerendering: document.prerendering })))
`
  Object.assign(app.site.files, {
    '/link.html': speculating('/?shown'),
    '/follow.js': `await fetch('${reports.origin}/go')\nlocation.href = '/?shown'`,
    '/page.js': `${reporting}
await report({ what: 'started', path: location.pathname })
document.addEventListener('prerenderingchange', () => report({ what: 'shown' }))
${app.site.files['/page.js']}
const outcome = await boot
await report({ what: 'connected', outcome, session: globalThis.auth?.session ?? null, path: location.pathname + location.search })`,
  })
  app.site.routes['/link'] = '/link.html'
})
after(() => Promise.all([app?.close(), reports?.close()]))

/** Resolves with the page's report of this name. */
const report = (name) => until(() => heard.find(({ what }) => what === name))

test('connect() waits until it is shown, and only then goes to the provider', time, async () => {
  const profile = await mkdtemp(join(tmpdir(), 'strongroom-'))
  const args = ['--headless=new', ...ARGS, `--user-data-dir=${profile}`, `${app.site.origin}/link`]
  const browser = spawn(findBrowser(), args, { stdio: 'ignore' })
  try {
    const started = await report('started')
    assert.equal(started.prerendering, true, 'the page was not prerendered')
    const shown = await report('shown')
    // This is longer than the time limit for the vault's response. The time limit starts only when the page is shown.
    assert.ok(shown.at - started.at > LIMIT * 1000)
    const connected = await report('connected')
    assert.deepEqual(connected.outcome, { value: { returnTo: '/?shown' } })
    assert.equal(connected.session, null)
    assert.equal(connected.path, '/?shown')
    const trips = app.ledger.authorizationRequests()
    assert.equal(trips.length, 1)
    assert.ok(trips[0].at >= shown.at, 'a hidden page navigated to the provider')
  } finally {
    browser.kill()
    await once(browser, 'exit')
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
})
