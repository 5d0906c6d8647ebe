import { ACCOUNTS } from '../tests/support/accounts.mjs'

/** The delay before a page starts its measurement, in milliseconds. The driver detaches during this delay. */
const UNWATCHED_AFTER = 500

/** Opens measured pages. `open`, `openMany` and `signIn` resolve with the report of the page. */
export class Visits {
  #servers
  #chromium
  #login
  #last = 0

  /** @param {string} [login] The page that signs in. */
  constructor(servers, chromium, login = 'login') {
    this.#servers = servers
    this.#chromium = chromium
    this.#login = login
  }

  /** Opens a page in its own tab, and closes it after its report. */
  open(name, parameters) {
    return this.openMany(1, name, parameters)
  }

  /** Opens the same page in several tabs; the first reports for all of them. */
  async openMany(count, name, parameters) {
    const id = this.#nextId()
    const result = this.#servers.collector.result(id)
    const tabs = Array.from({ length: count }, (_, tab) => this.#address(name, { id, tab, ...parameters }))
    const closers = []
    try {
      for (const tab of tabs) closers.push(await this.#chromium.open(tab))
      return await result
    } finally {
      for (const close of closers) await close()
    }
  }

  /**
   * Signs in through the provider's forms, and measures the return from the provider. The tab and its worker stay open.
   *
   * @param {object} parameters
   * @param {'shared' | 'new' | 'sealed' | 'proving'} parameters.vault The vault that all tabs share, a new vault, a
   *   vault that persists its session, or a vault that sends proofs.
   * @param {string} [parameters.measures] The names of comparisons to run afterwards, separated by spaces.
   */
  async signIn(parameters) {
    const id = this.#nextId()
    const result = this.#servers.collector.result(id)
    await this.#chromium.drive(async (page) => {
      await page.goto(this.#address(this.#login, { id, ...parameters }))
      const consent = await consentOf(page)
      await consent.evaluate((button, ms) => void setTimeout(() => button.click(), ms), UNWATCHED_AFTER)
    })
    return result
  }

  /**
   * Waits until the page of the next call of `signIn()` reports that it is ready. Then opens `count` more tabs of the
   * same page.
   */
  async opensWhenReady(count, parameters) {
    await this.#servers.collector.result(`${this.#last + 1} ready`).catch(() => {})
    for (let tab = 1; tab <= count; tab++) {
      await this.#chromium.open(this.#address(this.#login, { tab, ...parameters }))
    }
  }

  #address(name, parameters) {
    return `${this.#servers.site.origin}/${name}.html?${new URLSearchParams(parameters)}`
  }

  #nextId() {
    return String(++this.#last)
  }
}

/** Signs in on the provider's page if it asks for a password. Resolves with the button that gives consent. */
export async function consentOf(page) {
  const consent = page.locator('button[value=allow]')
  await page.locator('#username').or(consent).waitFor()
  if (!(await consent.count())) {
    const [{ username, password }] = ACCOUNTS
    await page.fill('#username', username)
    await page.fill('#password', password)
    await page.click('button[value=login]')
  }
  await consent.waitFor()
  return consent
}
