/**
 * The theft in real browsers: a user signs in, all cookies are copied, and then used in another browser and in an HTTP
 * client. `cargo xtask demo --edge --check` takes these steps.
 */
import assert from 'node:assert/strict'
import { launchBrowser } from '../../tests/support/browser.mjs'
import { connected } from '../drive.mjs'
import { BOUND } from './start.mjs'
import { CALLS, callWithCopy, LATER_MS } from './thief.mjs'

/**
 * The number of calls that succeed with each session: in another browser, in an HTTP client, and in the owner's browser.
 */
const EXPECTED = {
  ordinary: { now: [CALLS, CALLS, CALLS], later: [CALLS, CALLS, CALLS] },
  bound: { now: [CALLS, CALLS, CALLS], later: [0, 0, CALLS] },
}

/** Milliseconds within which the browser must bind a session. It takes less than a second. */
const PATIENCE = 20_000

/**
 * Takes the steps, and prints the result side by side. Rejects at the first step that fails.
 *
 * @param {object} options
 * @param {import('../steps.mjs').Steps} options.steps
 * @param {Awaited<ReturnType<typeof import('../demo.mjs').startDemo>>} options.demo A demo with a theft over https.
 * @param {import('playwright-core').Browser} options.thiefBrowser The thief's browser, which ignores errors of certificates.
 */
export async function checkTheft({ steps, demo: { theft }, thiefBrowser }) {
  const ownerBrowser = await launchBrowser({ whole: true, args: theft.chromium })
  try {
    const context = await ownerBrowser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    let stolen
    let thief
    const found = { ordinary: {}, bound: {} }

    await steps.run('signed in twice: with an ordinary session and with a bound one', async () => {
      await signInTwice(page, theft)
      stolen = await waitForBoundCookies(context, theft)
      return stolen.map(({ name }) => name).join(', ')
    })

    await steps.run('copied all cookies: they work at first', async () => {
      thief = await openAsThief(thiefBrowser, theft, stolen)
      return compare('now')
    })

    await steps.run('11 minutes later: only those of the ordinary session work', async () => {
      await theft.setClock(LATER_MS)
      // The owner's clock is not moved, so the browser does not notice by itself that the cookie's life is over.
      await context.clearCookies({ name: BOUND })
      return compare('later')
    })

    await steps.run('the page shows the same to its user', async () => {
      await theft.setClock(0)
      await context.clearCookies({ name: BOUND })
      const shown = await stealOnPage(page)
      for (const [name, { now, later }] of Object.entries(EXPECTED)) {
        assert.deepEqual(shown[name].counts, [now[1], later[1], later[2]], `the page shows of ${name}`)
      }
      return `${shown.ordinary.verdict} ${shown.bound.verdict}`
    })

    console.log(table(found))

    async function compare(when) {
      for (const name of Object.keys(EXPECTED)) {
        const counts = [
          await callAsThief(thief, name),
          await callWithCopy(theft.origin, name, headerOf(stolen)),
          await callAsOwner(page, name),
        ]
        found[name][when] = counts
        assert.deepEqual(counts, EXPECTED[name][when], `of ${CALLS} calls with the ${name} session succeeded`)
      }
      return Object.keys(EXPECTED)
        .map((name) => `${name} ${found[name][when][0]} of ${CALLS}`)
        .join(', ')
    }
  } finally {
    await ownerBrowser.close()
  }
}

/** Signs in at the first handler by the provider's form. The page then signs in at the second handler by itself. */
export async function signInTwice(page, { origin }) {
  await page.goto(origin)
  await connected(page)
  await page.click('#login')
  await page.fill('#username', 'alice')
  await page.fill('#password', 'wonderland')
  await page.click('button[value=login]')
  await page.waitForSelector('body[data-state=signed-in]')
}

/** Resolves with all cookies of a profile when one of them is the bound cookie. */
export async function waitForBoundCookies(context, { origin }) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const cookies = await context.cookies(origin)
    if (cookies.some(({ name }) => name === BOUND)) return cookies
    if (Date.now() > deadline) throw new Error(`the browser bound no session within ${PATIENCE} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const headerOf = (cookies) => cookies.map(({ name, value }) => `${name}=${value}`).join('; ')

/** Opens the app in another browser with the copied cookies. */
async function openAsThief(browser, { origin }, cookies) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true })
  await context.addCookies(cookies)
  const page = await context.newPage()
  await page.goto(origin)
  await connected(page)
  return page
}

/** Sends calls that do not depend on what the page itself believes about its session. */
const callAsThief = (page, name) =>
  page.evaluate(
    async ([path, count]) => {
      const calls = Array.from({ length: count }, () => fetch(path, { headers: { 'X-Strongroom': '1' } }))
      return (await Promise.all(calls)).filter(({ status }) => status === 200).length
    },
    [`/${name}/api/orders`, CALLS],
  )

/** Calls as the app does. */
const callAsOwner = (page, name) => page.evaluate((which) => callAsOwner(auth[which]), name)

/** Lets the page's own thief use the cookies. Resolves with what the page then shows of each session. */
export async function stealOnPage(page) {
  await page.click('#steal')
  await page.waitForSelector('#steal:enabled')
  const shown = Object.keys(EXPECTED).map(async (name) => {
    const pills = await page.locator(`#${name} dd`).allTextContents()
    return [
      name,
      {
        counts: pills.map((text) => parseInt(text, 10)),
        verdict: await page.textContent(`#${name} .verdict`),
      },
    ]
  })
  return Object.fromEntries(await Promise.all(shown))
}

/** Returns the result as a table. */
function table(found) {
  const calls = (count) => `${count} of ${CALLS} calls succeed`
  const rows = Object.entries(found).flatMap(([name, { now, later }]) =>
    Object.entries({ 'at first': now, '11 minutes later': later }).map(([when, [browser, client, owner]]) => [
      `${name} session, ${when}`,
      calls(browser),
      calls(client),
      owner === CALLS ? 'goes on' : 'cannot go on',
    ]),
  )
  const all = [['copied cookies', 'in another browser', 'in an HTTP client', 'the owner'], ...rows]
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('   ')
      .trimEnd(),
  )
  return `\n${lines.map((line) => `  ${line}`).join('\n')}`
}
