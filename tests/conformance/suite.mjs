import { setTimeout as wait } from 'node:timers/promises'

/** Milliseconds between two looks at a module. */
const INTERVAL = 200

/**
 * Returns the API of a running conformance suite.
 *
 * @param {string} origin Such as `https://localhost:8443`.
 */
export function connectSuite(origin) {
  async function request(method, path, { query = {}, body } = {}) {
    const url = new URL(`/api/${path}`, origin)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined)
        url.searchParams.set(name, typeof value === 'string' ? value : JSON.stringify(value))
    }
    const response = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    }).catch((error) => {
      const cause = error.cause?.code ?? error.cause?.message ?? error.message
      throw new Error(`no suite answers at ${origin} (${cause}): start one, as its own documentation says`)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${url.pathname}: ${response.status} ${text.slice(0, 500)}`)
    return text ? JSON.parse(text) : undefined
  }

  /** Polls a module until `isSo`. Resolves with its last state, also when the time is up. */
  async function until(id, isSo, milliseconds) {
    const deadline = Date.now() + milliseconds
    for (;;) {
      const info = await request('GET', `info/${id}`)
      if (isSo(info) || Date.now() > deadline) return info
      await wait(INTERVAL)
    }
  }
  const hasEnded = ({ status }) => status === 'FINISHED' || status === 'INTERRUPTED'

  return {
    origin,
    /** Resolves with the suite's version, and with its commit if the suite knows it. */
    async version() {
      const { version, revision } = await request('GET', 'server')
      return revision ? `${version} (${revision})` : String(version)
    },
    /** Creates a plan. Resolves with its `id` and `modules`. */
    createPlan: ({ plan, variant, configuration }) =>
      request('POST', 'plan', { query: { planName: plan, variant }, body: configuration }),
    /** Starts a module of a plan. Resolves with its ID when the module waits for a client. */
    async start(plan, { testModule, variant }) {
      const { id } = await request('POST', 'runner', { query: { test: testModule, plan, variant } })
      await until(id, (info) => info.status === 'WAITING' || hasEnded(info), 20_000)
      return id
    },
    /** Resolves with the URL that the module wants the user's browser to open, and says that the browser opened it. */
    async visit(id) {
      const urls = async () => (await request('GET', `runner/${id}`)).browser?.urls ?? []
      const deadline = Date.now() + 10_000
      let [url] = await urls()
      while (!url && Date.now() < deadline) {
        await wait(INTERVAL)
        ;[url] = await urls()
      }
      if (!url) throw new Error('the module has no URL to open')
      await request('POST', `runner/browser/${id}/visit`, { query: { url } })
      return url
    },
    /** Resolves with the last ID token that a module has issued. */
    async idToken(id) {
      const log = await request('GET', `log/${id}`)
      const token = log.findLast((entry) => entry.id_token)?.id_token
      if (!token) throw new Error('the module has issued no ID token')
      return token.verifiable_jws ?? token
    },
    /** Waits until the module ends, and stops it if it does not. Resolves with its result, and what was wrong. */
    async finish(id, milliseconds) {
      const { status } = await until(id, hasEnded, milliseconds)
      if (status !== 'FINISHED' && status !== 'INTERRUPTED') await request('DELETE', `runner/${id}`)
      const { result } = await until(id, hasEnded, 5000)
      const log = await request('GET', `log/${id}`)
      const faults = log.filter((entry) => ['FAILURE', 'WARNING'].includes(entry.result))
      return {
        result: hasEnded({ status }) ? (result ?? status) : 'WAITING',
        faults: faults.map((entry) => `${entry.result} ${entry.src}: ${entry.msg}`.slice(0, 260)),
      }
    },
  }
}
