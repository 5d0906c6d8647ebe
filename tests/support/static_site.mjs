import { extname } from 'node:path'
import { buildStatic, headersOf } from '../../www/static/build.mjs'
import { listen } from './listen.mjs'
import { TYPES } from './site.mjs'

/** The folder of the pages on the test's server, to show that they need no folder of their own. */
const BASE = '/docs'

/**
 * Serves the static demo and the playground with their headers, as a host for files would.
 *
 * @returns {Promise<{ origin: string, demo: string, playground: string, close(): Promise<void> }>} `demo` and `playground`
 *   are the addresses of the pages.
 */
export async function startStaticSite() {
  const files = await buildStatic()
  const site = { origin: '' }
  const { origin, close } = await listen({
    host: 'localhost',
    handler({ method, url, headers }, response) {
      const { pathname } = new URL(url, 'http://site')
      const path = pathname.slice(BASE.length).replace(/\/$/, '/index.html')
      const isFile = pathname.startsWith(`${BASE}/`) && Object.hasOwn(files, path)
      if (method !== 'GET' || headers['service-worker'] || !isFile) return response.writeHead(404).end()
      const place = { origin: site.origin, base: BASE }
      response
        .writeHead(200, { ...headersOf(path, place), 'Content-Type': TYPES[extname(path)] })
        .end(files[path])
    },
  })
  site.origin = origin
  return Object.assign(site, {
    demo: `${origin}${BASE}/demo/`,
    playground: `${origin}${BASE}/playground/`,
    close,
  })
}

/**
 * Opens a page in a new context. `faults` collects requests to other origins, messages of policies and exceptions.
 *
 * @returns {Promise<import('playwright-core').Page & { faults: string[] }>}
 */
export async function openStatic(browser, { origin }, address) {
  const context = await browser.newContext({ locale: 'en' })
  const faults = []
  context.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && url.protocol !== 'data:') faults.push(`request to ${url}`)
  })
  context.on('console', (message) => {
    if (message.type() === 'error' || /Content.Security.Policy|connect-src/.test(message.text())) {
      faults.push(`${message.text()} (${message.location().url}:${message.location().lineNumber})`)
    }
  })
  context.on('weberror', (error) => faults.push(String(error.error())))
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(address)
  return Object.assign(page, { faults })
}
