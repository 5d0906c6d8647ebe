// The documentation site, the demo and the playground have none of the barriers that axe finds. With TEST_ALL, every page
// is checked in four layouts.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startDemo } from '../../www/demo.mjs'
import { readPages } from '../../www/docs/check.mjs'
import { signInTwice, stealOnPage } from '../../www/theft/check.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL } from '../support/combinations.mjs'
import { isMounted, startDocs } from '../support/docs_site.mjs'

const axe = await readFile(
  new URL('../../www/docs/node_modules/axe-core/axe.min.js', import.meta.url),
  'utf8',
)

const WIDE = { width: 1440, height: 900 }
const NARROW = { width: 390, height: 844 }

/** The pages of a run without `--all`, each kind in one layout. */
const SOME = [
  [WIDE, 'light', ['/', '/start', '/frameworks', '/reference/strongroom/edge', '/security']],
  [NARROW, 'dark', ['/', '/errors', '/options', '/providers/auth0', '/none']],
]

const every = [...(await readPages()).keys()]
const LAYOUTS = ALL
  ? [WIDE, NARROW].flatMap((viewport) => ['light', 'dark'].map((scheme) => [viewport, scheme, every]))
  : SOME

let site
before(async () => {
  site = await startDocs()
})
after(() => site?.close())

async function open(t, viewport, colorScheme) {
  const context = await site.browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  t.after(() => context.close())
  return context.newPage()
}

/**
 * Resolves with the barriers of a page or frame, each with its first element. Frames inside it are not looked at.
 *
 * @param {import('playwright-core').Page | import('playwright-core').Frame} page
 * @param {string[]} [except] The rules that do not count.
 */
async function barriers(page, except = []) {
  await page.evaluate(axe)
  const violations = await page.evaluate(async (names) => {
    const rules = Object.fromEntries(names.map((name) => [name, { enabled: false }]))
    const found = await axe.run({ resultTypes: ['violations'], iframes: false, preload: false, rules })
    return found.violations.map(({ id, nodes }) => [
      id,
      nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`),
    ])
  }, except)
  return violations.map(([id, nodes]) => `${id} (${nodes.length}): ${nodes[0].slice(0, 400)}`)
}

for (const [viewport, scheme, paths] of LAYOUTS) {
  test(`no page has a barrier: ${viewport.width} pixels, ${scheme}`, async (t) => {
    const page = await open(t, viewport, scheme)
    const found = {}
    for (const path of paths) {
      await page.goto(site.origin + path)
      // The page for missing addresses is rendered by script.
      await page.waitForSelector('main h1')
      const those = await barriers(page)
      if (those.length) found[path] = those
    }
    assert.deepEqual(found, {})
  })
}

/** Resolves with the barriers of the demo, in each state in which it shows something else. */
async function barriersOfDemo(page) {
  const found = {}
  const look = async (state) => Object.assign(found, { [state]: await barriers(page) })
  await page.goto(`${site.origin}/demo/`)
  await page.waitForSelector('body[data-state=signed-out]')
  await look('signed out')
  const comparison = page.frames().find((frame) => frame.url().includes('/comparison/'))
  await comparison.waitForSelector('button')
  // The page around the frame has the first heading.
  found.comparison = await barriers(comparison, ['page-has-heading-one'])
  await page.click('#login')
  await page.waitForSelector('#approve')
  await look('provider')
  await page.click('#approve')
  await page.waitForSelector('body[data-state=signed-in]')
  // By keyboard, because the page still grows, and a button that moves between press and release is not clicked.
  await page.press('[data-call=orders]', 'Enter')
  await page.waitForSelector('#result-status:text("200")')
  await page.press('strongroom-inspector .search', 'Enter')
  await page.waitForSelector('.verdict')
  await look('signed in')
  return found
}

/** Resolves with the barriers of the playground, with a configuration that is right and with one that is wrong. */
async function barriersOfPlayground(page) {
  await page.goto(`${site.origin}/playground/`)
  await page.waitForSelector('#verdict .good')
  const right = await barriers(page)
  await page.fill('#configuration', '{ "issuer": "none" }')
  await page.waitForSelector('#verdict .bad')
  return { right, wrong: await barriers(page) }
}

/** The layouts in which demo and playground are checked: one of them in a run without `--all`. */
const PARTS_IN = ALL ? LAYOUTS : LAYOUTS.slice(-1)

for (const [viewport, scheme] of PARTS_IN) {
  test(`demo and playground have no barrier: ${viewport.width} pixels, ${scheme}`, async (t) => {
    const found = {
      ...(await barriersOfDemo(await open(t, viewport, scheme))),
      ...(await barriersOfPlayground(await open(t, viewport, scheme))),
    }
    assert.equal(Object.keys(found).length, 6)
    assert.deepEqual(Object.fromEntries(Object.entries(found).filter(([, those]) => those.length)), {})
  })
}

for (const [viewport, colorScheme] of PARTS_IN) {
  test(`the demo's theft has no barrier: ${viewport.width} pixels, ${colorScheme}`, async (t) => {
    const demo = await startDemo({ edge: true, theft: { secure: true } })
    t.after(() => demo.close())
    const browser = await launchBrowser({ args: demo.theft.chromium })
    t.after(() => browser.close())
    const options = { viewport, colorScheme, reducedMotion: 'reduce', ignoreHTTPSErrors: true }
    const context = await browser.newContext(options)
    const page = await context.newPage()
    await page.goto(demo.site.origin)
    await page.waitForSelector('#theft-title')
    const found = { demo: await barriers(page) }
    await page.goto(demo.theft.origin)
    await page.waitForSelector('#login:visible')
    found.before = await barriers(page)
    await signInTwice(page, demo.theft)
    await stealOnPage(page)
    found.after = await barriers(page)
    assert.deepEqual(found, { demo: [], before: [], after: [] })
  })
}

test('menus and search have no barrier', async (t) => {
  const page = await open(t, NARROW, 'light')
  await page.goto(`${site.origin}/faq`)
  await page.waitForFunction(isMounted)
  await page.click('.VPNavBarHamburger')
  await page.waitForSelector('.VPNavScreen')
  assert.deepEqual(await barriers(page), [], 'the menu')
  await page.keyboard.press('Escape')
  await page.goto(`${site.origin}/faq`)
  await page.waitForFunction(isMounted)
  await page.click('.VPNavBarSearchButton')
  await page.fill('#localsearch-input', 'refresh')
  await page.waitForSelector('.result')
  assert.deepEqual(await barriers(page), [], 'the search')
})

test('control: barriers are found', async (t) => {
  const page = await open(t, WIDE, 'light')
  await page.goto(`${site.origin}/faq`)
  await page.evaluate(() => document.querySelector('main').append(document.createElement('button')))
  const found = await barriers(page)
  assert.ok(found.some((barrier) => barrier.startsWith('button-name')))
})
