/** Shared code of the measured pages: their vault, a token for calls without the vault, and their report. */
import { connect } from '../../pkg/dist/index.js'

const WORKER = '/auth.worker.js'

/** Connects to the vault that all tabs share. Resolves with the client, as the other `connect…` functions do. */
export const connectShared = () =>
  connect(new SharedWorker(WORKER, { type: 'module', extendedLifetime: true }))

/**
 * Connects to the vault called `name`. If no page has started this vault before, the vault starts with the stored
 * session.
 */
export const connectSealed = (name) =>
  connect(new SharedWorker('/sealed.worker.js', { type: 'module', name }))

/** Connects to the vault whose tokens are bound to a key. */
export const connectProving = () => connect(new SharedWorker('/dpop.worker.js', { type: 'module' }))

/** Connects to a vault that no page has started before, and that ends with its page. */
export const connectNew = (name) => connect(new SharedWorker(WORKER, { type: 'module', name }))

/**
 * Resolves with the access token, which the bench provides. Only a measured page gets a token; a page of a real app
 * does not.
 */
export const tokenFromBench = async () => (await fetch(`${BENCH}token`)).text()

/** The page's parameters, by name. */
export const parameters = Object.fromEntries(new URLSearchParams(location.search))

/** Runs `measure` and reports its result or error to the bench. */
export async function report(measure, id = parameters.id) {
  const outcome = await measure().then(
    (value) => ({ value }),
    (error) => ({ error: String(error?.stack ?? error) }),
  )
  await fetch(`${BENCH}result?id=${id}`, { method: 'POST', body: JSON.stringify(outcome) })
}
