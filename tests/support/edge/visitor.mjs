import { request as open } from 'node:http'
import { ACCOUNTS } from '../accounts.mjs'

/**
 * A user with a browser that handles cookies, redirects and forms, and runs no script. Requests for the app's origin
 * are sent to one of its isolates.
 */
export class Visitor {
  /** @type {Map<string, Map<string, string>>} Cookies by host. */
  #jars = new Map()
  #origin
  #urls

  /**
   * @param {{ origin: string, urls: string[] }} app The app's origin as browsers see it, and the URLs of its isolates.
   */
  constructor({ origin, urls }) {
    this.#origin = origin
    this.#urls = urls
  }

  /** The app's cookies. */
  get cookies() {
    return this.#jar(this.#origin)
  }

  /** Returns another browser with a copy of the app's cookies. */
  copy() {
    const copy = new Visitor({ origin: this.#origin, urls: this.#urls })
    for (const [name, value] of this.cookies) copy.cookies.set(name, value)
    return copy
  }

  #jar(url) {
    const { host } = new URL(url)
    if (!this.#jars.has(host)) this.#jars.set(host, new Map())
    return this.#jars.get(host)
  }

  /**
   * Sends one request without following redirects. Stores the cookies of the response, unless `forgets` is true.
   *
   * @param {string} url An absolute URL, or a path on the app's origin.
   * @param {{ method?: string, headers?: Record<string, string>, body?: string, isolate?: number, forgets?: boolean }}
   *   [options]
   */
  async send(url, { method = 'GET', headers = {}, body, isolate = 0, forgets = false } = {}) {
    const address = new URL(url, this.#origin)
    const jar = this.#jar(address)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const target =
      address.origin === this.#origin
        ? new URL(address.pathname + address.search, this.#urls[isolate])
        : address
    const response = await exchange(target, {
      method,
      body,
      headers: { ...(cookie && { cookie }), ...headers },
    })
    if (!forgets) for (const set of response.headers.getSetCookie()) keep(jar, set)
    return response
  }

  /** Sends a request as the app's script does. */
  call(path, { headers, ...options } = {}) {
    const own = { 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }
    const origin = (options.method ?? 'GET') === 'GET' ? {} : { origin: this.#origin }
    return this.send(path, { ...options, headers: { ...own, ...origin, ...headers } })
  }

  /** Navigates as a window does, following redirects. */
  async go(url, options = {}) {
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
    let address = new URL(url, this.#origin)
    let response = await this.send(address, { ...options, headers: { ...headers, ...options.headers } })
    for (let i = 0; i < 20 && response.headers.has('location'); i++) {
      address = new URL(response.headers.get('location'), address)
      if (options.until?.(address)) return { address, response }
      response = await this.send(address, { headers, isolate: options.isolate })
    }
    return { address, response }
  }

  /** Signs in. Resolves with the last URL of the navigation (`address`), and with the last `response`. */
  signIn({ returnTo = '/', query = '', ...options } = {}) {
    return this.authorize(`/auth/login?returnTo=${encodeURIComponent(returnTo)}${query}`, options)
  }

  /** Opens an address that leads to the provider, and fills in the provider's forms. */
  async authorize(start, { account = 'alice', isolate = 0, until } = {}) {
    const password = ACCOUNTS.find(({ username }) => username === account).password
    let { address, response } = await this.go(start, { isolate, until })
    for (let i = 0; i < 4 && address.pathname.startsWith('/interaction/'); i++) {
      const isConsent = (await response.text()).includes('value="allow"')
      const form = isConsent ? { action: 'allow' } : { action: 'login', username: account, password }
      ;({ address, response } = await this.go(address, {
        method: 'POST',
        body: new URLSearchParams(form).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        isolate,
        until,
      }))
    }
    return { address, response }
  }

  /** Signs the user out at the provider, and not in the app. */
  async signOutAtProvider(origin) {
    const { address, response } = await this.go(`${origin}/session/end`)
    const [, secret] = /name="xsrf" value="([^"]+)"/.exec(await response.text())
    return this.go(new URL('/session/end/confirm', address), {
      method: 'POST',
      body: new URLSearchParams({ xsrf: secret, logout: 'yes' }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
  }

  /** Resolves with the JSON of `/auth/session`, which has the session data that a page may see. */
  async session(options) {
    return (await this.call('/auth/session', options)).json()
  }
}

/** Sends a request. Node's `fetch` would not let a test set `Cookie` and `Sec-Fetch-*`. */
const exchange = (url, { method, headers, body }) =>
  new Promise((resolve, reject) => {
    // Without an agent, each request has its own connection. A shared connection that the server has closed would make
    // the next request fail.
    const request = open(url, { method, headers, agent: false }, async (response) => {
      const pieces = []
      try {
        for await (const piece of response) pieces.push(piece)
      } catch (error) {
        return reject(error)
      }
      const fields = new Headers()
      for (let i = 0; i < response.rawHeaders.length; i += 2) {
        fields.append(response.rawHeaders[i], response.rawHeaders[i + 1])
      }
      const { statusCode: status } = response
      const isEmpty = [204, 205, 304].includes(status)
      resolve(new Response(isEmpty ? null : Buffer.concat(pieces), { status, headers: fields }))
    })
    request.on('error', reject)
    request.end(body)
  })

const keep = (jar, set) => {
  const [pair, ...attributes] = set.split(';').map((part) => part.trim())
  const at = pair.indexOf('=')
  const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
  const isGone = attributes.some((attribute) => /^max-age=(0|-\d+)$/i.test(attribute))
  if (isGone) jar.delete(name)
  else jar.set(name, value)
}
