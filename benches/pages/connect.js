/** What the measuring pages share: their vault, the token to do without it, and their report. */
import { connect } from '../../pkg/dist/index.js'

const WORKER = '/auth.worker.js'

/** The vault that all tabs share. */
export const connectShared = () =>
  connect(new SharedWorker(WORKER, { type: 'module', extendedLifetime: true }))

/** A vault that begins with the session that was kept, if it is one that nobody has started before. */
export const connectSealed = (name) =>
  connect(new SharedWorker('/sealed.worker.js', { type: 'module', name }))

/** The vault whose tokens are bound to a key. */
export const connectProving = () => connect(new SharedWorker('/dpop.worker.js', { type: 'module' }))

/** A vault that nobody has started before, and that ends with its page. */
export const connectNew = (name) => connect(new SharedWorker(WORKER, { type: 'module', name }))

/** The access token, from the bench: a page under measurement may have what a page in use may not. */
export const tokenFromBench = async () => (await fetch(`${BENCH}token`)).text()

/** The page's parameters, by name. */
export const parameters = Object.fromEntries(new URLSearchParams(location.search))

/** Runs `measure` and tells the bench what it found, or what went wrong. */
export async function report(measure, id = parameters.id) {
  const outcome = await measure().then(
    (value) => ({ value }),
    (error) => ({ error: String(error?.stack ?? error) }),
  )
  await fetch(`${BENCH}result?id=${id}`, { method: 'POST', body: JSON.stringify(outcome) })
}
