/** What the pages of all contenders measure: see first-visit.mjs, waterfall.mjs and later.mjs in benches. */

const parameters = Object.fromEntries(new URLSearchParams(location.search))

/** Marks the measured time for the search for long tasks: tasks.mjs. */
const mark = (name) => parameters.marks && performance.mark(name)

const report = (outcome) => {
  mark('end')
  const id = parameters.id ?? sessionStorage.getItem('id')
  navigator.sendBeacon(`${import.meta.env.VITE_BENCH}result?id=${id}`, JSON.stringify(outcome))
}

const ORDERS = `${import.meta.env.VITE_API}orders`
const OWN_ORDERS = `${location.origin}${import.meta.env.VITE_OWN_API}orders`

async function read(responds) {
  const response = await responds
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the API responded with ${response.status}`)
}

/**
 * @param {object} contender
 * @param {() => unknown} contender.login Navigates to the provider.
 * @param {() => Promise<unknown>} contender.callback Handles the return from the provider.
 * @param {typeof fetch} contender.fetch Adds the access token.
 */
export async function visit({ login, callback, fetch }) {
  const actions = {
    /** Reports when the page begins to navigate to the provider. The navigation itself is canceled. */
    async ready() {
      navigation.addEventListener('navigate', (event) => {
        event.preventDefault()
        report({ value: performance.now() })
      })
      await login()
    },
    async signIn() {
      sessionStorage.setItem('id', parameters.id)
      await login()
    },
    async callback() {
      await callback()
      await read(fetch(ORDERS))
      report({ value: performance.now() })
    },
    /**
     * Reports when the first response of the API has arrived. With the parameter `later`, the browser has no preflight
     * of this address, as if the last one were too old.
     */
    async call() {
      await read(fetch(parameters.later ? `${ORDERS}?page=${parameters.id}` : ORDERS))
      report({ value: performance.now() })
    },
    /** Does the same with an API on the app's own origin, for which browsers send no preflight. */
    async callOwn() {
      await read(fetch(OWN_ORDERS))
      report({ value: performance.now() })
    },
    /** Reports the time until the last response of many calls. No other call has the same address. */
    async calls() {
      await read(fetch(ORDERS))
      const start = performance.now()
      for (let call = 0; call < Number(parameters.calls); call += Number(parameters.atOnce)) {
        const one = (_, n) => read(fetch(`${ORDERS}?call=${call + n}&page=${parameters.id}`))
        await Promise.all(Array.from({ length: Number(parameters.atOnce) }, one))
      }
      report({ value: performance.now() - start })
    },
    /** Does the same as `call()`, in a page that has called the API before and is loaded again. */
    async reload() {
      await read(fetch(ORDERS))
      if (sessionStorage.getItem('reloaded')) return report({ value: performance.now() })
      sessionStorage.setItem('reloaded', 'yes')
      location.reload()
    },
    /** The control of the search for long tasks: the marks are in the task that is busy. */
    async busy() {
      await new Promise((resolve) => setTimeout(resolve, 100))
      performance.mark('begin')
      const until = performance.now() + Number(parameters.busy)
      while (performance.now() < until);
      performance.mark('end')
      report({ value: until })
    },
  }
  mark('begin')
  const what = location.pathname.startsWith('/callback') ? 'callback' : parameters.what
  await actions[what]().catch((error) => report({ error: String(error?.stack ?? error) }))
}
