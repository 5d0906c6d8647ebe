// The inspector has none of the barriers that axe finds, and can be used from the keyboard.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { call, htmlWith, signIn, startApp } from '../support/app.mjs'
import { rows } from '../support/combinations.mjs'

const time = { timeout: 60_000 }
const axe = await readFile(
  new URL('../../www/docs/node_modules/axe-core/axe.min.js', import.meta.url),
  'utf8',
)

let app

before(async () => {
  app = await startApp({ config: { inspect: true } })
  app.site.files['/index.html'] = htmlWith('/inspected.js').replace(
    '<body>',
    '<body><main><h1>A test</h1></main>',
  )
  app.site.files['/inspected.js'] = `
import '/strongroom/inspector/record.js'
import '/page.js'
import '/strongroom/inspector.js'
await boot
globalThis.inspector = document.createElement('strongroom-inspector')
inspector.auth = auth
inspector.setAttribute('open', '')
document.querySelector('main').append(inspector)
`
})
after(() => app?.close())

/** Opens the inspector of a signed-in user, with everything that it can show. */
async function open(viewport, colorScheme) {
  const context = await app.browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  const page = await app.open('/', context)
  await signIn(page)
  await page.waitForFunction(() => globalThis.inspector)
  await call(page, `${app.api.url}orders`)
  await call(page, new URL('/elsewhere', app.api.url))
  await page.locator('.holding[data-kind=id_token]').waitFor()
  await page.locator('li[data-tone=bad]').waitFor()
  return page
}

/** Resolves with the barriers of a page, each with its first element. */
const barriers = (page) =>
  page.evaluate(async () => {
    const { violations } = await axe.run({ resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`)
  })

for (const [width, height] of [
  [1280, 900],
  [360, 800],
]) {
  for (const scheme of rows(['light', 'dark'])) {
    test(`no barrier: ${width} pixels, ${scheme}`, time, async () => {
      const page = await open({ width, height }, scheme)
      await page.evaluate(axe)
      assert.deepEqual(await barriers(page), [])
      await page.evaluate(() =>
        localStorage.setItem('a', `eyJhbGciOiJub25lIn0.${'eyJzdWIiOi'.repeat(3)}.c2ln`),
      )
      await page.click('.search')
      await page.locator('.verdict.bad').waitFor()
      await page.click('.copy')
      await page.click('.test')
      await page.locator('.question .plant').waitFor()
      assert.deepEqual(await barriers(page), [])
      await page.click('.plant')
      await page.locator('summary', { hasText: 'Where it planted' }).click()
      assert.deepEqual(await barriers(page), [])
      const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
      assert.ok(inner <= outer, `the page is ${inner} pixels wide`)
      await page.context().close()
    })
  }
}

test('a control: axe looks into the inspector', time, async () => {
  const page = await open({ width: 1280, height: 900 }, 'light')
  await page.evaluate(axe)
  await page.evaluate(() => inspector.shadowRoot.querySelector('.copy').replaceChildren())
  assert.match((await barriers(page)).join(), /^button-name: /)
  await page.context().close()
})

test('the test of the search works from the keyboard', time, async () => {
  const page = await open({ width: 1280, height: 900 }, 'light')
  const focused = () => page.evaluate(() => inspector.shadowRoot.activeElement?.textContent)
  await page.focus('.test')
  await page.keyboard.press('Enter')
  assert.equal(await focused(), 'Plant and search')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Space')
  assert.equal(await focused(), 'Test the search…')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Enter')
  await page.locator('.verdict', { hasText: 'Found all' }).waitFor()
  assert.match(await focused(), /^Test the search|^Searching/)
  await page.context().close()
})
