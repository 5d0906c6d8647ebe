import assert from 'node:assert/strict'
import { once } from 'node:events'
import { claimsOf, signInResponse } from '../wire.mjs'
import { realSeconds, until } from './refresh.mjs'
import { signIn } from './sign_in.mjs'

/**
 * Lets the API demand a more recent sign-in (RFC 9470). The server must ask the user again, and the call is sent again
 * afterwards.
 */
export async function stepUp(life) {
  // Without `max_age`, the ID token need not have `auth_time`.
  await signIn(life, { maxAge: 3600 })
  const { page, server, issuer, proxy } = life
  const before = authTime(life)
  // The demand is `max_age=1`, and clocks of servers have whole seconds.
  await until(() => realSeconds() >= before + 2)
  const challenge = 'Bearer error="insufficient_user_authentication", max_age="1"'
  proxy.faults.add('api', { answer: { status: 401, headers: { 'WWW-Authenticate': challenge }, body: {} } })
  const demand = await page.evaluate(async (address) => {
    globalThis.demanded = await auth.fetch(address).catch((error) => error)
    const { code, login } = demanded
    const button = document.createElement('button')
    button.textContent = 'Confirm that it is you'
    button.onclick = () => {
      globalThis.steppedUp = settle(demanded.stepUp().then(({ status }) => status))
    }
    document.body.replaceChildren(button)
    return { code, login }
  }, issuer + server.api)
  assert.deepEqual(demand, { code: 'step_up_required', login: { maxAge: 1 } })
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')])
  const closed = once(popup, 'close')
  await server.signIn(popup)
  const { value, error } = await page.evaluate(() => steppedUp)
  assert.deepEqual(error ?? {}, {})
  assert.equal(value, 200)
  await closed
  assert.ok(authTime(life) > before, 'the user has signed in again')
}

const authTime = (life) => claimsOf(signInResponse(life).id_token).auth_time
