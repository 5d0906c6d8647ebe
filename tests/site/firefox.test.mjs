// The documentation site in Firefox: search, and the policy.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { serve } from '../../www/docs/serve.mjs'
import { notFound, openSearch, watchPolicy } from '../support/docs_site.mjs'
import { waitFor } from '../support/engines/driver.mjs'
import { startFirefox } from '../support/engines/firefox.mjs'

let site, firefox, tab
before(async () => {
  site = await serve()
  firefox = await startFirefox()
  tab = await (await firefox.newSession()).open(`${site.origin}/start`)
  await tab.evaluate(watchPolicy)
})
after(async () => {
  await firefox?.close()
  await site?.close()
})

test('search finds what users look for', { timeout: 80_000 }, async () => {
  await openSearch(tab, waitFor)
  assert.deepEqual(await notFound(tab), {})
  assert.deepEqual(await notFound(tab, { popup: /^\/none/ }).then(Object.keys), ['popup'], 'control')
})

test('a result opens its page, and nothing is blocked', async () => {
  await tab.click('.VPLocalSearchBox .result')
  await waitFor(tab, () => location.pathname !== '/start' && document.querySelector('main h1') !== null)
  assert.deepEqual(await tab.evaluate(() => blocked), [])
  assert.deepEqual(tab.console, [])
})
