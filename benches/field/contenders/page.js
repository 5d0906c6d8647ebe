/**
 * The page of a contender. It shows what the library says about the user, and lets the command press its buttons. It
 * never signs in by itself.
 *
 * @typedef {object} Library
 * @property {() => unknown} signIn What the button "Sign in" does.
 * @property {() => unknown} logout What the button "Sign out" does: here and at the provider.
 * @property {(url: string) => Promise<Response>} fetch Calls the API.
 *
 * @typedef {object} Page
 * @property {(user: string | null | undefined) => void} show Shows the user's name, or the button "Sign in".
 * @property {(error: unknown) => void} fail Shows an error.
 * @property {{ issuer: string, api: string, clientId: string, lifetime: number }} config `lifetime` is the lifetime of
 *   access tokens in seconds.
 * @property {string} home The app's origin.
 */

/** After this time, in milliseconds, a call counts as failed. A user would have reloaded the page before. */
const PATIENCE = 30_000

/** @param {(page: Page) => Promise<Library>} start */
export async function run(start) {
  const { dataset } = document.documentElement
  const show = (user) => {
    dataset.user = user ?? ''
    document.body.textContent = user ? `Signed in as ${user}` : 'Sign in'
  }
  const fail = (error) => {
    dataset.error = String(error?.message ?? error)
    document.body.textContent = dataset.error
  }
  const library = await start({ show, fail, config: CONFIG, home: location.origin }).catch(fail)
  if (!library) return
  const press = (button) => Promise.resolve(button()).catch(fail)
  globalThis.field = {
    signIn: () => void press(library.signIn),
    logout: () => void press(library.logout),
    call: () => call(library),
  }
}

async function call(library) {
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error('no response')))
  try {
    const response = await Promise.race([library.fetch(`${CONFIG.api}/v1/on/field`), late])
    const body = await response.json().catch(() => null)
    return { isOk: response.ok, user: body?.sub, why: String(response.status) }
  } catch (error) {
    return { isOk: false, why: String(error?.message ?? error) }
  }
}
