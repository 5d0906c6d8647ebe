import { readFile } from 'node:fs/promises'
import { htmlWith, PACKAGE, workerScript } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { bundleForPage } from '../support/bundle.mjs'
import { startSite } from '../support/site.mjs'

const dist = new URL('../../pkg/dist/', import.meta.url)

/** Uses the server's tools in a page of an app with a vault. Rejects with the error that the page gets. */
export async function useVault({ url, issuer, resource, scope, toolScopes, client }) {
  const site = await startSite({ connectSrc: [new URL(issuer).origin, new URL(url).origin] })
  const { id: clientId } = await client(`${site.origin}/callback`)
  const rule = { url, exact: true, methods: ['GET', 'POST', 'DELETE'], stepUp: true }
  const config = { issuer, clientId, redirectUri: '/callback', scope, loginScopes: toolScopes, resource }
  Object.assign(site.files, {
    '/index.html': htmlWith('/page.js'),
    '/page.js': await bundleForPage(new URL('page.js', import.meta.url)),
    '/auth.worker.js': workerScript({ ...config, identity: 'none', apis: [rule] }),
  })
  site.pageCsp = "default-src 'none'; script-src 'self'; worker-src 'self'; img-src data:; base-uri 'none'"
  for (const name of PACKAGE) site.files[`/strongroom/${name}`] = await readFile(new URL(name, dist))
  const browser = await launchBrowser()
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(15_000)
    page.on('console', (message) => console.log(message.text()))
    await page.goto(site.origin)
    await page.waitForFunction(() => auth.state.status !== 'connecting')
    await page.evaluate(() => void auth.login().catch(({ message }) => (globalThis.failure = message)))
    const signedIn = await page.waitForFunction(
      () => globalThis.failure ?? auth.state.error?.message ?? auth.state.session,
    )
    const result = await signedIn.jsonValue()
    if (typeof result === 'string') throw new Error(result)
    await page.evaluate((address) => callTools(address), url)
  } finally {
    await browser.close()
    await site.close()
  }
}
