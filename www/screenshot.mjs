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

/** Signs in to both apps, searches both, and draws the two results below each other. */
async function proof(colorScheme, name) {
  const viewport = { width: 720, height: 900 }
  const context = await browser.newContext({ viewport, deviceScaleFactor: 2, colorScheme, locale: 'en' })
  const page = await openDemo(context, demo)
  await signIn(page)
  const comparison = await signInAtComparison(page)
  await search(page, { planted: false })
  await comparison.waitForSelector('.verdict')
  // The browser does not draw a frame outside the viewport.
  const height = await page.evaluate(() => document.documentElement.scrollHeight)
  await page.setViewportSize({ ...viewport, height })
  await comparison.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())))
  // The frame tells the page its height, which moves what is below.
  let [before, now] = ['', 'unknown']
  while (before !== now) {
    before = now
    await page.waitForTimeout(500)
    now = JSON.stringify(await page.locator('#comparison').boundingBox())
  }
  const parts = {
    'With strongroom': await page.locator('strongroom-inspector .searching').screenshot(),
    'The same app, with its token in localStorage': await page.locator('#comparison').screenshot(),
  }
  const sheet = await context.newPage()
  const [paper, ink] = colorScheme === 'dark' ? ['#0f1412', '#e8ede9'] : ['#f3f0e8', '#1a201d']
  const figures = Object.entries(parts).map(
    ([title, png]) => `<p>${title}</p><img src="data:image/png;base64,${png.toString('base64')}">`,
  )
  await sheet.setContent(`<!doctype html><style>
    body { margin: 0; padding: 4px 24px 24px; background: ${paper}; color: ${ink}; font: 600 19px system-ui; }
    p { margin: 18px 2px 8px }
    img { display: block; width: 100%; border-radius: 12px }
  </style>${figures.join('')}`)
  await sheet.locator('body').screenshot({ path: join(docs, name) })
  console.log(join(docs, name))
  await context.close()
}
