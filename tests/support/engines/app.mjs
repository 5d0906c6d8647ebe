/** A user's actions in a page of the app, for every engine. ../app.mjs has the same actions only for Chromium. */
import { ACCOUNTS } from '../accounts.mjs'
import { ignoreNavigation, poll, waitFor } from './driver.mjs'

/** Waits until the page has started. Resolves with the result of `handleCallback()`. */
export async function booted(tab) {
  await waitFor(tab, () => typeof boot === 'object')
  return tab.evaluate(() => boot)
}

/** Fills in the provider's forms. If the user has a session at the provider, the sign-in form does not appear. */
export async function giveConsent(tab, { username, password } = ACCOUNTS[0]) {
  const form = await waitFor(
    tab,
    () => document.querySelector('button[value=login], button[value=allow]')?.value,
  )
  if (form === 'login') {
    await tab.evaluate(
      (values) =>
        Object.entries(values).forEach(([id, value]) => (document.getElementById(id).value = value)),
      { username, password },
    )
    await press(tab, 'button[value=login]')
    await waitFor(tab, () => !!document.querySelector('button[value=allow]'))
  }
  await press(tab, 'button[value=allow]')
}

/** Longest time in milliseconds from a click until the browser leaves the page. */
const LEAVING = 15_000

/**
 * Clicks until the browser leaves the page. A window that has just opened may lose a click, so one click may not be
 * enough.
 */
async function press(tab, button) {
  // Returns true if the page responds. A page that the browser is leaving or closing does not respond.
  const isThere = () => tab.evaluate((selector) => !!document.querySelector(selector), button)
  const isLeft = async () => !(await isThere().catch(() => false))
  for (let clicks = 1; ; clicks++) {
    await tab.click(button)
    try {
      return await poll(isLeft, `${button} to be gone`, LEAVING)
    } catch (error) {
      if (clicks === 3) throw error
    }
  }
}

/** Starts a login by redirect. Resolves when the tab is at the provider. */
export async function startLogin(tab, options = {}) {
  await booted(tab)
  // The browser may leave the page before the driver learns that the script has run.
  await tab.evaluate((given) => void auth.login(given).catch(() => {}), options).catch(ignoreNavigation)
  await waitFor(tab, () => !!document.querySelector('form'))
}

/** Signs in by redirect. Resolves with the result of `handleCallback()`. */
export async function signInByRedirect(tab, options = {}) {
  await startLogin(tab, options)
  await giveConsent(tab)
  await waitFor(tab, () => location.pathname === '/callback' && typeof boot === 'object')
  return booted(tab)
}

/** Signs in by popup after a click. Resolves with the result of `login()` when the popup has closed. */
export async function signIn(tab, options = {}, account = ACCOUNTS[0]) {
  await booted(tab)
  await tab.evaluate((given) => {
    const button = document.createElement('button')
    button.textContent = 'Sign in'
    button.onclick = () => {
      globalThis.login = settle(auth.login({ mode: 'popup', ...given }))
    }
    document.body.replaceChildren(button)
  }, options)
  const popup = await tab.session.openedBy(() => tab.click('button'))
  await giveConsent(popup, account)
  const outcome = await tab.evaluate(() => login)
  await popup.closed
  return outcome
}

/**
 * Calls the API through the vault. Resolves with the response as `{ value: { status, text } }`, or with
 * `{ error }`.
 */
export function call(tab, url, init) {
  return tab.evaluate(
    (address, options) =>
      settle(
        auth.fetch(address, options).then(async (response) => ({
          status: response.status,
          text: await response.text(),
        })),
      ),
    String(url),
    init,
  )
}

/** Resolves with the value of `auth.session`. */
export const session = (tab) => tab.evaluate(() => auth.session)

/** Waits until the page is told that the session ended. Resolves with the reason. */
export async function ended(tab) {
  await waitFor(tab, () => auth.session === null)
  return tab.evaluate(() => auth.endReason)
}
