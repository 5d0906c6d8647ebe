/** The ways in a real browser, as the page of the exits shows them. `cargo xtask demo --check` takes these steps. */
import assert from 'node:assert/strict'
import { startProfile } from '../../tests/support/exits/browsers.mjs'
import { openDemo } from '../drive.mjs'
import { WAYS } from './start.mjs'

/**
 * Takes the steps. Rejects at the first step that fails.
 *
 * @param {object} options
 * @param {import('../steps.mjs').Steps} options.steps
 * @param {Awaited<ReturnType<typeof import('../demo.mjs').startDemo>>} options.demo
 */
export async function checkExits({ steps, demo }) {
  // Without a profile, Chromium opens no connection ahead of a request.
  const { context, close } = await startProfile()
  try {
    let page

    await steps.run('script tries ten ways to send a name to another server', async () => {
      page = await openDemo(context, demo)
      await page.click('.foot a')
      await page.waitForURL(`${demo.exits.origin}/`)
      const found = await tryAll(page)
      assert.deepEqual(
        found,
        expected(({ policy, list }) => [policy, list]),
      )
      return page.textContent('#verdict')
    })

    await steps.run('control: in a browser that ignores the list, both columns are equal', async () => {
      await context.route('**/try/list/*', (route) =>
        route.continue({ url: route.request().url().replace('/list/', '/policy/') }),
      )
      const found = await tryAll(page)
      assert.deepEqual(
        found,
        expected(({ policy }) => [policy, policy]),
      )
      return page.textContent('#verdict')
    })
  } finally {
    await close()
  }
}

/** Returns the rows of a table. `of` returns for a way whether the name arrives in each column. */
const expected = (of) =>
  WAYS.map((way) => of(way.expected).map((isArrived) => (isArrived ? 'arrived' : 'did not arrive')))

/** Presses the button, as a person does. Resolves with the results of each row of the table. */
export async function tryAll(page) {
  await page.click('#try')
  await page.waitForSelector('#try:enabled')
  const rows = await page.locator('#ways tr').all()
  return Promise.all(rows.map((row) => row.locator('td').allTextContents()))
}
