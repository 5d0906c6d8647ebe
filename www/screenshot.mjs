/**
 * Creates the pictures of the demo: docs/demo.png (wide) and docs/demo-narrow.png. Run `cargo xtask build` first; then
 * `node www/screenshot.mjs`.
 *
 * `node www/screenshot.mjs some/folder` writes the pictures to this folder instead, each with a light and a dark color
 * scheme. With `--edge`, the pictures show the demo with the token handler.
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
    downTo: 'strongroom-inspector',
  },
  {
    name: 'demo-narrow',
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    downTo: 'strongroom-inspector .searching',
  },
]

const edge = process.argv.includes('--edge')
const [folder] = process.argv.slice(2).filter((argument) => argument !== '--edge')
if (edge && !folder) throw new Error('name a folder: the pictures in docs are of the demo with a vault')
const target = folder ?? fileURLToPath(new URL('../docs/', import.meta.url))
const demo = await startDemo({ edge })
const browser = await launchBrowser()

try {
  await mkdir(target, { recursive: true })
  for (const size of SIZES) {
    for (const colorScheme of folder ? ['light', 'dark'] : ['light']) await picture(size, colorScheme)
  }
} finally {
  await browser.close()
  await demo.close()
}

async function picture({ name, downTo, ...size }, colorScheme) {
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
  const path = join(target, folder ? `${name}-${colorScheme}.png` : `${name}.png`)
  const { y, height } = await page.locator(downTo).boundingBox()
  const clip = {
    x: 0,
    y: 0,
    width: size.viewport.width,
    height: Math.max(y + height + 24, size.viewport.height),
  }
  // The browser does not draw a frame outside the viewport.
  const whole = await page.evaluate(() => document.documentElement.scrollHeight)
  await page.setViewportSize({ width: clip.width, height: whole })
  await comparison.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve())))
  await page.screenshot({ path, fullPage: true, clip: folder ? undefined : clip, animations: 'disabled' })
  console.log(path)
  await context.close()
}
