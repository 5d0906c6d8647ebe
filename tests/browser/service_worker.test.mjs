// A service worker of the origin would see the vault's requests and responses. Script in the page cannot register a
// service worker, because the page's policy forbids it and the site serves no file for it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launchBrowser } from '../support/browser.mjs'
import { startDemo } from '../../www/demo.mjs'
import { openDemo } from '../../www/drive.mjs'

const time = { timeout: 40_000 }

let demo
let browser

before(async () => {
  ;[demo, browser] = await Promise.all([startDemo(), launchBrowser()])
  demo.site.files['/sw.js'] = "addEventListener('fetch', () => {})"
})
after(() => Promise.all([demo?.close(), browser?.close()]))

/**
 * Tries to register the file at `path` as a service worker, in a page whose policy is the result of `pageCsp`.
 *
 * @returns {Promise<{ refused: boolean, forbiddenBy: string[], registered: number, asked: number[] }>} `refused`: true
 *   if `register()` rejected. `forbiddenBy`: the policy directives that blocked the registration. `registered`: the
 *   number of service workers that are registered afterwards. `asked`: the status of the response to each request for
 *   the file.
 */
async function register({ path, pageCsp }) {
  const { site } = demo
  const before = site.pageCsp
  site.pageCsp = pageCsp(before)
  const context = await browser.newContext()
  try {
    const page = await openDemo(context, demo)
    const since = site.requests.length
    const found = await page.evaluate(async (url) => {
      const forbiddenBy = []
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
        forbiddenBy.push(effectiveDirective),
      )
      const refused = await navigator.serviceWorker.register(url).then(
        () => false,
        () => true,
      )
      const { length } = await navigator.serviceWorker.getRegistrations()
      await new Promise((resolve) => setTimeout(resolve, 100))
      return { refused, forbiddenBy, registered: length }
    }, path)
    const asked = site.requests.slice(since).filter((request) => request.path === path)
    return { ...found, asked: asked.map(({ status }) => status) }
  } finally {
    site.pageCsp = before
    await context.close()
  }
}

const withoutTrustedTypes = (policy) => policy.replace(/; require-trusted-types-for.*/, '')

const CASES = {
  "the demo's policy: strings never become scripts": {
    path: '/sw.js',
    pageCsp: (policy) => policy,
    expected: { forbiddenBy: ['require-trusted-types-for'], asked: [] },
  },
  // claim: script-34
  'the site: the worker file is not a service worker': {
    path: '/auth.worker.js',
    pageCsp: withoutTrustedTypes,
    expected: { forbiddenBy: [], asked: [403] },
  },
}

for (const [name, { expected, ...attempt }] of Object.entries(CASES)) {
  test(`no service worker, by ${name}`, time, async () => {
    assert.deepEqual(await register(attempt), { refused: true, registered: 0, ...expected })
  })
}
