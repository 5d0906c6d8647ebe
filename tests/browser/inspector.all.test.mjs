// The inspector shows a page the vault's events and holdings, and only if the configuration has `inspect: true`.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }

let app

before(async () => {
  app = await startApp()
})
after(() => app?.close())
afterEach(() => app.setConfig({}))

/** Signs in on a new page that calls the API once. */
async function used() {
  const page = await app.open()
  await signIn(page)
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  return page
}

test('unsupported: a session without inspect: true', time, async () => {
  const page = await used()
  assert.equal((await page.evaluate(() => settle(auth.inspect()))).error.code, 'unsupported')
})

test('an inspected session gets events and holdings', time, async () => {
  app.setConfig({ inspect: true })
  const page = await used()
  const { holdings, events } = await page.evaluate(async (url) => {
    const events = new Promise((resolve) => {
      const heard = []
      auth.on('trace', ({ event }) => heard.push(event) === 2 && resolve(heard))
    })
    await (await auth.fetch(url)).text()
    return { holdings: await auth.inspect(), events: await events }
  }, `${app.api.url}orders`)
  assert.deepEqual(events, ['call_sent', 'call_answered'])
  assert.deepEqual(
    holdings.map(({ kind }) => kind),
    ['access_token', 'refresh_token', 'id_token'],
  )
  for (const { fingerprint } of holdings) assert.match(fingerprint, /^[0-9a-f]{8}$/)
})
