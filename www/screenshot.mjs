/**
 * Creates the pictures of the demo. Run `cargo xtask build` first; then `node www/screenshot.mjs`, which writes
 * docs/proof.png and docs/proof-dark.png: two apps, and what one search finds in each.
 *
 * `node www/screenshot.mjs some/folder` writes pictures of the whole demo to this folder instead, wide and narrow, light
 * and dark. With `--edge`, they show the demo with the token handler.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launchBrowser } from '../tests/support/browser.mjs'
import { startDemo } from './demo.mjs'
import { clickCall, openDemo, search, signIn, signInAtComparison } from './drive.mjs'

const SIZES = [
  {
    name: 'demo',
    viewport: { width: 1440, height: 900 },
    deviceScaleFactor: 1,
  },
  {
    name: 'demo-narrow',
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
  },
]

const edge = process.argv.includes('--edge')
const [folder] = process.argv.slice(2).filter((argument) => argument !== '--edge')
if (edge && !folder) throw new Error('name a folder: the pictures in docs are of the demo with a vault')
const docs = fileURLToPath(new URL('../docs/', import.meta.url))
const demo = await startDemo({ edge })
const browser = await launchBrowser()

try {
  if (!folder) {
    await proof('light', 'proof.png')
    await proof('dark', 'proof-dark.png')
  } else {
    await mkdir(folder, { recursive: true })
    for (const size of SIZES) for (const colorScheme of ['light', 'dark']) await picture(size, colorScheme)
  }
} finally {
  await browser.close()
  await demo.close()
}

async function picture({ name, ...size }, colorScheme) {
  const context = await browser.newContext({ ...size, colorScheme, locale: 'en' })
  const page = await openDemo(context, demo)
  await signIn(page)
  const comparison = await signInAtComparison(page)
  await search(page, { planted: false })
  await comparison.waitForSelector('.verdict')
  await clickCall(page, 'orders')
  await clickCall(page, 'outside')
  await clickCall(page, 'rejected')
  await demo.ledger.accessTokenExpired()
  await page.waitForSelector('.ring[data-spent=true]')
  await clickCall(page, 'many')
  await page.waitForSelector('.ring[data-spent=false]')
  await page.mouse.move(0, 0)
  await page.evaluate(() => {
    document.activeElement.blur()
    scrollTo(0, 0)
  })
  const path = join(folder, `${name}-${colorScheme}.png`)
  // The browser does not draw a frame outside the viewport.
  const whole = await page.evaluate(() => document.documentElement.scrollHeight)
  await page.setViewportSize({ width: size.viewport.width, height: whole })
  await comparison.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())))
  await page.screenshot({ path, fullPage: true, animations: 'disabled' })
  console.log(path)
  await context.close()
}

/** Signs in to both apps, searches both, and draws what the two searches have found. */
async function proof(colorScheme, name) {
  const viewport = { width: 720, height: 900 }
  const context = await browser.newContext({ viewport, deviceScaleFactor: 2, colorScheme, locale: 'en' })
  const page = await openDemo(context, demo)
  await signIn(page)
  // After a reload, the used code of the login is not in the page's entries any more. Another tab keeps the session.
  await openDemo(context, demo)
  await page.bringToFront()
  await page.reload()
  await page.waitForSelector('body[data-state=signed-in]')
  const comparison = await signInAtComparison(page)
  await search(page, { planted: false })
  await comparison.waitForSelector('.verdict')
  const { places } = await page.evaluate(() => document.createElement('strongroom-inspector').search())
  const looked = places.reduce((sum, place) => sum + place.looked, 0).toLocaleString('en')
  const [good, bad] = await Promise.all([
    page.locator('strongroom-inspector .verdict').first().textContent(),
    comparison.locator('.verdict').first().textContent(),
  ])
  if (!good.startsWith('No token')) throw new Error(`the demo's search says: ${good}`)
  const place = await comparison.locator('.verdict ~ p').first().textContent()
  const sheet = await context.newPage()
  await sheet.setContent(sheetOf({ good, bad, place, looked }))
  await sheet.locator('main').screenshot({ path: join(docs, name) })
  console.log(join(docs, name))
  await context.close()
}

/** Returns a page with the two results, in the colors of the demo. */
function sheetOf({ good, bad, place, looked }) {
  return `<!doctype html>
<meta name="color-scheme" content="light dark">
<style>
  :root { color-scheme: light dark }
  body { margin: 0; font: 18px/1.5 system-ui; color: light-dark(#1a201d, #e8ede9) }
  main { display: grid; gap: 18px; padding: 30px; background: light-dark(#f3f0e8, #0f1412) }
  .about { margin: 0; color: light-dark(#59615c, #9caaa2) }
  section { padding: 22px 26px 26px; border: 1px solid light-dark(#dbd5c6, #2b3631); border-radius: 14px; background: light-dark(#fdfbf6, #171e1b) }
  h2 { margin: 0 0 14px; font: 600 20px system-ui }
  .result { margin: 0; padding: 16px 20px; border-radius: 10px; font: 600 26px system-ui }
  .good { background: light-dark(#ddeee4, #12352a); color: light-dark(#0c664e, #63d3a8) }
  .bad { background: light-dark(#f8e1dc, #43201b); color: light-dark(#a12c1f, #ff9f8f) }
  .place { margin: 12px 2px 0; font: 15px ui-monospace, Menlo, Consolas, monospace; color: light-dark(#59615c, #9caaa2); overflow-wrap: anywhere }
</style>
<main>
  <p class="about">One search of each page: every object that script can reach, storage, history, messages.</p>
  <section><h2>Signed in with strongroom</h2><p class="result good">✓ ${good}</p><p class="place">${looked} values looked at</p></section>
  <section><h2>The same app, with its token in localStorage</h2><p class="result bad">✗ ${bad}</p><p class="place">${place}</p></section>
</main>`
}
