// The documentation site has none of the barriers that axe finds. With TEST_ALL, every page is checked in four layouts.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { readPages } from '../../www/docs/check.mjs'
import { ALL } from '../support/combinations.mjs'
import { startDocs } from '../support/docs_site.mjs'

const axe = await readFile(
  new URL('../../www/docs/node_modules/axe-core/axe.min.js', import.meta.url),
  'utf8',
)

const WIDE = { width: 1440, height: 900 }
const NARROW = { width: 390, height: 844 }

/** The pages of a usual run, each kind in one layout. */
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

/** Resolves with the barriers of a page, each with its first element. */
async function barriers(page) {
  await page.evaluate(axe)
  const violations = await page.evaluate(async () => {
    const found = await axe.run({ resultTypes: ['violations'] })
    return found.violations.map(({ id, nodes }) => [
      id,
      nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`),
    ])
  })
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

test('menus and search have no barrier', async (t) => {
  const page = await open(t, NARROW, 'light')
  await page.goto(`${site.origin}/faq`)
  await page.click('.VPNavBarHamburger')
  await page.waitForSelector('.VPNavScreen')
  assert.deepEqual(await barriers(page), [], 'the menu')
  await page.keyboard.press('Escape')
  await page.goto(`${site.origin}/faq`)
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
