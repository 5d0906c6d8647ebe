/** Prerendered pages. Chromium prerenders nothing under a debugger, so its pages report to a server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ARGS, findBrowser } from './browser.mjs'
import { listen } from './listen.mjs'
import { until } from './until.mjs'

const PAGE = `<!doctype html>
<meta charset="utf-8"><title>A page with a link</title><link rel="icon" href="data:,">
<script type="module" src="/follow.js"></script>`

/**
 * Adds a page `/link` to a site. It runs the code `prepare`, prerenders the page at `path`, and navigates to that page when
 * `isReady` resolves.
 *
 * @returns `origin` is that of the server of the reports. `reporting` is code that defines `report({ what, … })` for a
 *   page's script. `report(name)` resolves with the first report of this name. `open()` starts a Chromium without a
 *   debugger at `/link`, and resolves with a function that ends it.
 */
export async function servePrerendering(site, path, isReady, prepare = '') {
  const heard = []
  const reports = await listen({
    async handler(request, response) {
      if (request.url === '/go') await isReady()
      else heard.push({ at: Date.now(), ...JSON.parse(decodeURIComponent(request.url.slice(1))) })
      response.writeHead(204, { 'Access-Control-Allow-Origin': '*' }).end()
    },
  })
  const { origin } = reports
  Object.assign(site.files, {
    '/link.html': PAGE,
    '/follow.js': `${prepare}
const rules = Object.assign(document.createElement('script'), { type: 'speculationrules' })
rules.textContent = '{ "prerender": [{ "urls": ["${path}"], "eagerness": "immediate" }] }'
document.head.append(rules)
await fetch('${origin}/go')
location.href = '${path}'`,
  })
  site.routes['/link'] = '/link.html'
  return {
    origin,
    close: reports.close,
    reporting: `
const report = (what) => fetch('${origin}/' + encodeURIComponent(JSON.stringify({ ...what, prerendering: document.prerendering })))
`,
    report: (name) => until(() => heard.find(({ what }) => what === name)),
    async open() {
      const profile = await mkdtemp(join(tmpdir(), 'strongroom-'))
      const args = ['--headless=new', ...ARGS, `--user-data-dir=${profile}`, `${site.origin}/link`]
      const browser = spawn(findBrowser(), args, { stdio: 'ignore' })
      return async () => {
        browser.kill()
        await once(browser, 'exit')
        await rm(profile, { recursive: true, force: true, maxRetries: 5 })
      }
    },
  }
}
