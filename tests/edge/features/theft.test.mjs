// The demo's theft (www/theft). `cargo xtask test demo` runs its check. Here, the check fails if a copied session works, and its page says so if no session is bound.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launchBrowser } from '../../support/browser.mjs'
import { startDemo } from '../../../www/demo.mjs'
import { checkTheft, waitForBoundCookies, signInTwice, stealOnPage } from '../../../www/theft/check.mjs'
import { leftOut, rows } from '../../support/combinations.mjs'

const time = { timeout: 60_000 }

/** Runs steps without output. */
const steps = { run: (_title, action) => action() }

let browser
before(async () => {
  browser = await launchBrowser()
})
after(() => browser?.close())

/** Runs a test with a demo whose theft has these options. */
const withDemo = async (theft, run) => {
  const demo = await startDemo({ edge: true, theft })
  try {
    await run(demo)
  } finally {
    await demo.close()
  }
}

const CONTROLS = {
  'the handler accepts copies': [{ ordinary: false, bound: 'report' }, /of 8 calls with the bound session/],
  'neither handler binds': [{ ordinary: false, bound: false }, /the browser bound no session within/],
  'both handlers bind': [
    { ordinary: 'if-supported', bound: 'if-supported' },
    /of 8 calls with the ordinary session/,
  ],
}

for (const [name, [bind, message]] of rows(Object.entries(CONTROLS))) {
  test(`control: the check fails if ${name}`, time, () =>
    withDemo({ secure: true, bind }, (demo) =>
      assert.rejects(checkTheft({ steps, demo, thiefBrowser: browser }), { message }),
    ),
  )
}

/** Signs in with a browser that binds no session, and lets the page's thief use the cookies. */
const stealUnbound = async ({ theft }) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  try {
    const page = await context.newPage()
    await signInTwice(page, theft)
    return await stealOnPage(page)
  } finally {
    await context.close()
  }
}

leftOut('on plain http, the page shows the ordinary session only', time, () =>
  withDemo({ secure: false }, async (demo) => {
    const { ordinary, bound } = await stealUnbound(demo)
    assert.deepEqual(ordinary.counts, [8, 8, 8])
    assert.match(bound.verdict, /^Browsers bind no session on plain http\. .*--edge --browser/)
    assert.deepEqual(bound.counts, [NaN, NaN, NaN])
  }),
)

leftOut('in a browser that binds no session, the page says that the copies work', time, () =>
  withDemo({ secure: true }, async (demo) => {
    const { bound } = await stealUnbound(demo)
    assert.deepEqual(bound.counts, [8, 8, 8])
    assert.match(bound.verdict, /^This browser did not bind the session\. .*--edge --browser/)
  }),
)

leftOut('the page shows the same again, after a reload in the middle and after another login', time, () =>
  withDemo({ secure: true }, async (demo) => {
    const ownerBrowser = await launchBrowser({ whole: true, args: demo.theft.chromium })
    try {
      const page = await (await ownerBrowser.newContext({ ignoreHTTPSErrors: true })).newPage()
      const stealAgain = async (what) => {
        const { ordinary, bound } = await stealOnPage(page)
        assert.deepEqual([ordinary.counts, bound.counts], [Array(3).fill(8), [8, 0, 8]], what)
      }
      await signInTwice(page, demo.theft)
      await waitForBoundCookies(page.context(), demo.theft)
      await stealAgain('at first')
      await page.click('#steal')
      await page.waitForSelector('#bound [data-row=later] .pill')
      await page.reload()
      await page.waitForSelector('#steal:visible')
      await stealAgain('after a reload')
      await page.click('#logout')
      await page.click('#login')
      await page.waitForSelector('#steal:visible')
      // The page has removed the bound cookie, as after each theft. The next request brings another one.
      await page.evaluate(() => fetch('/icon.svg'))
      await waitForBoundCookies(page.context(), demo.theft)
      await stealAgain('after another login')
    } finally {
      await ownerBrowser.close()
    }
  }),
)
