// The documentation site in Chromium: search, console, requests, layout, and the parts of pages that are our own.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isMounted, notFound, openSearch, startDocs, watchPolicy } from '../support/docs_site.mjs'
import { waitFor } from '../support/engines/driver.mjs'
import { ALL } from '../support/combinations.mjs'
import { readPages } from '../../www/docs/check.mjs'

/** Pages of each kind. */
const PAGES = [
  '/',
  '/start',
  '/frameworks',
  '/errors',
  '/options',
  '/providers/',
  '/providers/auth0',
  '/architecture',
]

let site
before(async () => {
  site = await startDocs()
})
after(() => site?.close())

/**
 * Opens a page in a context of its own. What the console says and what is requested from other origins is kept.
 *
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
async function open(t, path, options) {
  const context = await site.browser.newContext(options)
  t.after(() => context.close())
  const said = []
  const foreign = []
  context.on('request', (request) => {
    if (!request.url().startsWith(`${site.origin}/`) && !request.url().startsWith('data:'))
      foreign.push(request.url())
  })
  const page = await context.newPage()
  page.on('console', (message) => said.push(`${page.url()}: ${message.text()}`))
  page.on('pageerror', (error) => said.push(`${page.url()}: ${error}`))
  await page.addInitScript(watchPolicy)
  await page.goto(site.origin + path)
  // Demo and playground are pages without the site's scripts.
  if (!/^\/(demo|playground)\//.test(path)) await page.waitForFunction(isMounted)
  return { page, said, foreign }
}

test('the demo signs in and the playground judges, as parts of the site', async (t) => {
  const demo = await open(t, '/demo/')
  await demo.page.click('#login')
  await demo.page.click('#approve')
  await demo.page.waitForSelector('body[data-state=signed-in]')
  const playground = await open(t, '/playground/')
  await playground.page.waitForSelector('#verdict .good')
  for (const { said, foreign } of [demo, playground]) assert.deepEqual([said, foreign], [[], []])
})

test('demo and playground keep the header of the site', async (t) => {
  const { page } = await open(t, '/documents')
  const entries = await page.locator('a.VPNavBarMenuLink').allTextContents()
  for (const path of ['/demo/', '/playground/']) {
    await page.goto(site.origin + path)
    const own = await page.locator('header nav a').allTextContents()
    assert.ok(own.length > 4)
    assert.deepEqual(
      own.filter((name) => !entries.some((entry) => entry.includes(name))),
      [],
    )
    assert.equal(new URL(await page.getAttribute('header [aria-current]', 'href'), page.url()).pathname, path)
  }
})

test('demo and playground keep the colors that a reader has chosen, and change them for the site', async (t) => {
  const { page, said } = await open(t, '/documents', { colorScheme: 'light' })
  const isDark = () => page.evaluate(() => document.documentElement.classList.contains('dark'))
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  await page.goto(`${site.origin}/demo/`)
  const light = await paper()
  await page.click('#theme')
  assert.deepEqual([await isDark(), (await paper()) === light], [true, false])
  for (const path of ['/playground/', '/documents']) {
    await page.goto(site.origin + path)
    await page.waitForFunction(() => document.documentElement.classList.contains('dark'))
  }
  await page.goto(`${site.origin}/demo/`)
  await page.click('#theme')
  assert.deepEqual([await isDark(), await paper()], [false, light])
  assert.deepEqual(said, [])
})

test('the keys of the search open it from the demo, and each result has an excerpt', async (t) => {
  const { page, said } = await open(t, '/demo/')
  await page.keyboard.press('/')
  await page.waitForURL(/documents/)
  await page.fill('#localsearch-input', 'mixed content')
  const first = await page.locator('.result-excerpt', { hasText: 'mixed content' }).first().textContent()
  assert.match(first, /Mixed content is refused: a page on https must not call an API on http/)
  assert.equal(await page.locator('.result-excerpt mark', { hasText: 'mixed' }).count(), 1)
  assert.deepEqual(said, [])
})

test('search finds what users look for', async (t) => {
  const { page, said } = await open(t, '/')
  await openSearch(page, waitFor)
  assert.deepEqual(await notFound(page), {})
  assert.deepEqual(Object.keys(await notFound(page, { popup: /^\/none/ })), ['popup'], 'control')
  await page.keyboard.press('Enter')
  await page.waitForURL((url) => url.pathname !== '/')
  assert.deepEqual(said, [])
})

test('pages say nothing on the console, and load nothing from elsewhere', async (t) => {
  const { page, said, foreign } = await open(t, '/')
  for (const path of ALL ? (await readPages()).keys() : PAGES) {
    await page.goto(site.origin + path)
    await page.waitForFunction(isMounted)
    assert.deepEqual(await page.evaluate(() => blocked), [], path)
  }
  assert.deepEqual(said, [])
  assert.deepEqual(foreign, [])
})

test('control: an inline style and a request to elsewhere are noticed', async (t) => {
  const { page, said, foreign } = await open(t, '/')
  await page.evaluate(() => {
    document.body.setAttribute('style', 'color: red')
    return fetch('http://127.0.0.1:9/').catch(() => {})
  })
  await page.waitForFunction(() => blocked.length === 2)
  assert.ok(said.length >= 2)
  assert.ok(foreign.length <= 1)
})

for (const width of [390, 1440]) {
  test(`no page is wider than a window of ${width} pixels`, async (t) => {
    const { page } = await open(t, '/', { viewport: { width, height: 900 } })
    for (const path of ALL ? (await readPages()).keys() : PAGES) {
      await page.goto(site.origin + path)
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(excess <= 0, `${path} is ${excess} pixels too wide`)
    }
  })
}

test('the first screen says what it is, for whom, and what to click', async (t) => {
  const { page } = await open(t, '/', { viewport: { width: 1440, height: 900 } })
  for (const place of ['.front-buttons', '.front-facts', '.front-proof']) {
    const { y, height } = await page.locator(place).boundingBox()
    assert.ok(height > 0 && y + height <= 900, `${place}: ${y + height}`)
  }
  const choices = await page.locator('.front-buttons a').evaluateAll((all) => all.map((a) => a.pathname))
  assert.deepEqual(choices, ['/start', '/demo/'])
})

test('each framework has a tab with code, whose lines have no break', async (t) => {
  const { page } = await open(t, '/', { viewport: { width: 1440, height: 900 } })
  const tabs = page.locator('.front-page .vp-code-group .tabs label')
  assert.ok((await tabs.count()) >= 7)
  for (const label of await tabs.all()) {
    await label.click()
    const block = page.locator('.front-page .vp-code-group .blocks > .active')
    assert.equal(await block.count(), 1)
    const [inner, outer] = await block.locator('pre').evaluate((pre) => [pre.scrollWidth, pre.clientWidth])
    assert.ok(inner <= outer, `${await label.textContent()}: ${inner} of ${outer}`)
  }
})

test('code of the front page fits into a narrow window', async (t) => {
  const { page } = await open(t, '/', { viewport: { width: 390, height: 844 } })
  const tabs = page.locator('.front-page .vp-code-group .tabs label')
  for (const label of await tabs.all()) {
    await label.click()
    const block = page.locator('.front-page .vp-code-group .blocks > .active pre')
    const [inner, outer] = await block.evaluate((pre) => [pre.scrollWidth, pre.clientWidth])
    assert.ok(inner <= outer, `${await label.textContent()}: ${inner} of ${outer}`)
  }
})

test('code and pages can be copied', async (t) => {
  const { page } = await open(t, '/faq', { permissions: ['clipboard-read', 'clipboard-write'] })
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText())
  await page.click('.page-tools button')
  await page.waitForFunction(
    () => document.querySelector('.page-tools [role=status]').textContent === 'Copied',
  )
  assert.match(await clipboard(), /^# Questions\n/)
  await page.click('.page-tools a')
  await page.waitForURL(/\/faq\.md$/)
  assert.match(await page.innerText('body'), /^# Questions\n/)
  await page.goBack()
  await page.waitForFunction(isMounted)
  await page.hover('.vp-doc [class*=language-]')
  await page.click('.vp-doc button.copy')
  await page.waitForFunction(() => document.querySelector('button.copy.copied'))
  assert.match(await clipboard(), /^const orders/)
})

test('a page that does not exist offers the search', async (t) => {
  const { page } = await open(t, '/none')
  await page.click('.missing button')
  await page.waitForSelector('#localsearch-input')
})

test('light and dark can be chosen, and the choice lasts', async (t) => {
  const { page, said } = await open(t, '/faq', { colorScheme: 'light' })
  const isDark = () => page.evaluate(() => document.documentElement.classList.contains('dark'))
  assert.equal(await isDark(), false)
  await page.click('.VPNavBarAppearance .VPSwitchAppearance, .VPNavAppearance .VPSwitchAppearance')
  await page.waitForFunction(() => document.documentElement.classList.contains('dark'))
  await page.reload()
  assert.equal(await isDark(), true)
  assert.deepEqual(said, [])
})

test('pages are connected: previous, next, edit, version', async (t) => {
  const { page, said } = await open(t, '/frameworks')
  await page.click('.pager-link.next')
  await page.waitForURL((url) => url.pathname !== '/frameworks')
  // The address changes before the page does, so that the old page's link could still be clicked.
  await page.click('.pager-link.prev[href$="/frameworks"]')
  await page.waitForURL((url) => url.pathname === '/frameworks')
  assert.equal(await page.locator('.edit-link-button').count(), 1)
  await page.hover('.VPNav .VPFlyout')
  await page.locator('.VPFlyout a[href="/changelog"]').waitFor()
  assert.deepEqual(said, [])
})
