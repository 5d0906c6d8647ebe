// An API may demand another authentication (RFC 9470). The page is told which login satisfies the API. After this login,
// the request is sent again.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, beforeEach, test } from 'node:test'
import { sendJson } from '../support/responses.mjs'
import { giveConsent, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

const STRONGER = [401, 'Bearer error="insufficient_user_authentication", acr_values="phr", max_age="600"']

let app
let demand
const bodies = []

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 60 } })
  const { apis } = app.config
  app.setConfig({ apis: [{ ...apis[0], stepUp: true }] })
  app.api.on('guarded', ({ request, response, body }) => {
    bodies.push(`${request.method} ${body}`)
    if (!demand) return sendJson(response, 200, {})
    const [status, challenge] = demand
    sendJson(response, status, {}, { 'WWW-Authenticate': challenge })
  })
})
after(() => app?.close())
beforeEach(() => {
  bodies.length = 0
})

const url = () => `${app.api.url}on/guarded`
const lastRequest = () => app.ledger.authorizationRequests().at(-1).parameters

/**
 * Calls the API and stores the error in the page's variable `refusal`. Resolves with the error's `code`, `message` and
 * `login`, and with the type of its `stepUp` (`offers`).
 */
const refused = (page, init) =>
  page.evaluate(
    async ([address, options]) => {
      globalThis.refusal = await auth.fetch(address, options).then(
        () => null,
        (error) => error,
      )
      const { code, message, login, stepUp } = refusal
      return { code, message, login, offers: typeof stepUp }
    },
    [url(), init],
  )

/** Starts the offered login by a click. */
const stepUp = async (page) => {
  await page.evaluate(() => {
    const button = document.createElement('button')
    button.textContent = 'Confirm that it is you'
    button.onclick = () => {
      const answer = refusal.stepUp().then(async (response) => [response.status, await response.text()])
      globalThis.steppedUp = settle(answer)
    }
    document.body.replaceChildren(button)
  })
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')])
  return popup
}

const finish = async (page, popup) => {
  const closed = once(popup, 'close')
  await giveConsent(popup)
  await closed
  return page.evaluate(() => steppedUp)
}

test('a required authentication is done, and the request succeeds', time, async () => {
  demand = STRONGER
  const page = await app.open()
  await signIn(page)
  const init = { method: 'POST', body: '{"order":1}' }
  const offered = await refused(page, init)
  assert.equal(offered.code, 'step_up_required')
  assert.match(offered.message, /stepUp\(\)/)
  assert.equal(offered.offers, 'function')
  assert.deepEqual(offered.login, { acrValues: 'phr', maxAge: 600 })
  const popup = await stepUp(page)
  await popup.waitForSelector('form')
  const { acr_values, max_age } = lastRequest()
  assert.deepEqual({ acr_values, max_age }, { acr_values: 'phr', max_age: '600' })
  demand = undefined
  const { value } = await finish(page, popup)
  assert.equal(value[0], 200)
  assert.deepEqual(bodies, ['POST {"order":1}', 'POST {"order":1}'])
  await page.context().close()
})

test('a used body: the request rejects as in fetch', time, async () => {
  demand = STRONGER
  const page = await app.open()
  await signIn(page)
  await page.evaluate(async (address) => {
    const request = new Request(address, { method: 'POST', body: 'once' })
    globalThis.refusal = await auth.fetch(request).catch((error) => error)
  }, url())
  const popup = await stepUp(page)
  demand = undefined
  const { error } = await finish(page, popup)
  assert.equal(error.isTypeError, true)
  assert.equal(bodies.length, 1)
  await page.context().close()
})
