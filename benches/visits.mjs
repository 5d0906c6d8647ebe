import { ACCOUNTS } from '../tests/support/accounts.mjs'

/** Milliseconds between the driver's last word to a page and what the page does: it has detached by then. */
const UNWATCHED_AFTER = 500

/** Visits of pages under measurement; each resolves with what the page reports. */
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

  /** Opens a page in a tab of its own, and closes it when it has reported. */
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
   * Signs in through the provider's forms, and measures the way back from it. The tab stays open, and with it
   * its worker.
   *
   * @param {object} parameters
   * @param {'shared' | 'new' | 'sealed' | 'proving'} parameters.vault The one that all tabs share, one of its own,
   *   one that keeps its session, or one that proves each request.
   * @param {string} [parameters.measures] What to compare afterwards, with what that needs.
   */
  async signIn(parameters) {
    const id = this.#nextId()
    const result = this.#servers.collector.result(id)
    await this.#chromium.drive(async (page) => {
      await page.goto(this.#address(this.#login, { id, ...parameters }))
      const consent = page.locator('button[value=allow]')
      await page.locator('#username').or(consent).waitFor()
      if (!(await consent.count())) await giveCredentials(page)
      await consent.waitFor()
      await consent.evaluate((button, ms) => void setTimeout(() => button.click(), ms), UNWATCHED_AFTER)
    })
    return result
  }

  /** Opens more tabs of the page that signs in, as soon as the next one that does says that it is ready. */
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

async function giveCredentials(page) {
  const [{ username, password }] = ACCOUNTS
  await page.fill('#username', username)
  await page.fill('#password', password)
  await page.click('button[value=login]')
}
