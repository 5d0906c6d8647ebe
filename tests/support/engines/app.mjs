/** What a person does in a page of the app, in whichever engine: as app.mjs for Chromium alone. */
import { ACCOUNTS } from '../accounts.mjs'
import { ignoreNavigation, poll, waitFor } from './driver.mjs'

/** Waits until the page has started; resolves with the outcome of `handleCallback()`. */
export async function booted(tab) {
  await waitFor(tab, () => typeof boot === 'object')
  return tab.evaluate(() => boot)
}

/** Fills in the provider's forms: the first only if it is asked. */
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

/** How long a page may take to be left once a button was clicked, in milliseconds. */
const LEAVING = 5000

/** Clicks until the page is left: a window that has just opened may lose a click, and a person would click again. */
async function press(tab, button) {
  // A page that cannot be asked is being left, or closed.
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

/** Begins a login by redirect; resolves at the provider. */
export async function startLogin(tab, options = {}) {
  await booted(tab)
  // The page may be left before the driver hears that its script has run.
  await tab.evaluate((given) => void auth.login(given).catch(() => {}), options).catch(ignoreNavigation)
  await waitFor(tab, () => !!document.querySelector('form'))
}

/** Signs in by redirect; resolves when the app has its session, with the callback's outcome. */
export async function signInByRedirect(tab, options = {}) {
  await startLogin(tab, options)
  await giveConsent(tab)
  await waitFor(tab, () => location.pathname === '/callback' && typeof boot === 'object')
  return booted(tab)
}

/** Signs in by a popup, as a click begins it; resolves with the outcome of `login()`, when the popup is closed. */
export async function signIn(tab, options = {}) {
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
  await giveConsent(popup)
  const outcome = await tab.evaluate(() => login)
  await popup.closed
  return outcome
}

/** Calls the API through the vault; resolves with what came of it. */
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

/** What `auth.session` is. */
export const session = (tab) => tab.evaluate(() => auth.session)

/** Resolves when the page has heard that nobody is signed in any more; with the reason. */
export async function ended(tab) {
  await waitFor(tab, () => auth.session === null)
  return tab.evaluate(() => auth.endReason)
}
