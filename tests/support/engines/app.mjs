/** A person's actions in a page of the app, for every engine. app.mjs has the same actions for Chromium alone. */
import { ACCOUNTS } from '../accounts.mjs'
import { ignoreNavigation, poll, waitFor } from './driver.mjs'

/** Waits until the page has started. Resolves with the result of `handleCallback()`. */
export async function booted(tab) {
  await waitFor(tab, () => typeof boot === 'object')
  return tab.evaluate(() => boot)
}

/** Fills in the provider's forms. The sign-in form may not appear. */
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

/** Longest time in milliseconds until a click leaves the page. */
const LEAVING = 5000

/** Clicks until the page is left. A window that has just opened may lose a click, and a person would click again. */
async function press(tab, button) {
  // Returns true if the page responds; a page that does not respond is being left or closed.
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

/** Starts a login by redirect. Resolves at the provider. */
export async function startLogin(tab, options = {}) {
  await booted(tab)
  // The page may be left before the driver learns that its script has run.
  await tab.evaluate((given) => void auth.login(given).catch(() => {}), options).catch(ignoreNavigation)
  await waitFor(tab, () => !!document.querySelector('form'))
}

/** Signs in by redirect. Resolves with the callback's result when the app has its session. */
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

/** Calls the API through the vault. Resolves with a summary of the response or error. */
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

/** Returns the value of `auth.session`. */
export const session = (tab) => tab.evaluate(() => auth.session)

/** Resolves with the reason when the page has been told that the session ended. */
export async function ended(tab) {
  await waitFor(tab, () => auth.session === null)
  return tab.evaluate(() => auth.endReason)
}
