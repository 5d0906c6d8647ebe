import { ACCOUNTS } from '../support/accounts.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { kindOf } from './verdict.mjs'

/** The most requests of one visitor at a time. */
const AT_ONCE = 3

/** The requests of a visitor. The more often one is listed, the more often it is sent. */
const REQUESTS = [
  ...Array(7).fill(['/api/me']),
  ...Array(2).fill(['/auth/session']),
  ['/api/on/order', { method: 'POST' }],
]

const oneOf = (list) => list[Math.floor(Math.random() * list.length)]
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * One request of a visitor, and its response.
 *
 * @typedef {object} Exchange
 * @property {number} sent Milliseconds since the Unix epoch, like all times here.
 * @property {number} received
 * @property {string} kind See `kindOf()`.
 * @property {string} what The request, the status, and the reason of a failure.
 */

/** Signed-in visitors, who send requests at a constant rate. */
export class Load {
  /** @type {Exchange[]} */
  exchanges = []
  /** Sessions that ended although nobody signed out. Their visitors signed in again. */
  lost = 0
  #visitors
  #isOver = false
  #running

  constructor(visitors) {
    this.#visitors = visitors
  }

  /** Signs visitors in, in turn as each account. */
  static async of(count, place) {
    const visitors = Array.from({ length: count }, (_, index) => ({
      browser: new Visitor(place),
      account: ACCOUNTS[index % ACCOUNTS.length].username,
      inFlight: 0,
      check: undefined,
    }))
    for (const { browser, account } of visitors) await browser.signIn({ account })
    return new Load(visitors)
  }

  start(rate) {
    this.#running = this.#run(1000 / rate)
  }

  /** Resolves when the last response has arrived. */
  async stop() {
    this.#isOver = true
    await this.#running
    while (this.#visitors.some(({ inFlight, check }) => inFlight || check)) await sleep(50)
  }

  /** Sends a request of each visitor at the end, when no fault is left. */
  async callOnce() {
    for (const visitor of this.#visitors) await this.#send(visitor, ['/api/me'])
  }

  async #run(interval) {
    for (let next = Date.now(); !this.#isOver; next += interval) {
      const left = next - Date.now()
      // A machine that was busy need not catch up.
      if (left < -1000) next = Date.now()
      if (left > 0) await sleep(left)
      const free = this.#visitors.filter(({ inFlight, check }) => inFlight < AT_ONCE && !check)
      if (free.length) void this.#send(oneOf(free), oneOf(REQUESTS))
    }
  }

  async #send(visitor, [path, options]) {
    const sent = Date.now()
    visitor.inFlight++
    const result = await respond(visitor.browser.call(path, options))
    visitor.inFlight--
    const received = Date.now()
    const kind = kindOf(result, visitor.account)
    const what = `${options?.method ?? 'GET'} ${path}: ${result.status} ${result.why}`.trim()
    if (kind !== '401' && kind !== 'lost') return this.exchanges.push({ sent, received, kind, what })
    visitor.check ??= this.#checkSession(visitor).finally(() => (visitor.check = undefined))
    const isLost = await visitor.check
    this.exchanges.push({ sent, received, kind: isLost ? 'lost' : '401', what })
  }

  /** Resolves with true if the visitor's session has ended. The visitor then signs in again. */
  async #checkSession({ browser, account }) {
    const has = async () => {
      for (;;) {
        const { status, body } = await respond(browser.call('/auth/session'))
        if (status === 200) return Boolean(body.session)
        await sleep(1000)
      }
    }
    if (await has()) return false
    this.lost++
    do {
      await sleep(1000)
      await browser.signIn({ account }).catch(() => {})
    } while (!(await has()))
    return true
  }
}

/** Resolves with a response's status, headers and JSON, and with the reason of a failure. */
async function respond(response) {
  try {
    const { status, headers } = await response
    const body = await (await response).json().catch(() => undefined)
    return { status, headers, body, why: body?.error?.message ?? headers.get('x-strongroom') ?? '' }
  } catch (error) {
    return { status: 0, headers: new Headers(), why: error.code ?? error.message }
  }
}
