/** What the measuring pages share: their vault, their way to call the API without it, and their report. */
import { connect } from '../../pkg/dist/index.js'

const WORKER = '/auth.worker.js'

/** The vault that all tabs share. */
export const connectShared = () =>
  connect(new SharedWorker(WORKER, { type: 'module', extendedLifetime: true }))

/** A vault that nobody has started before, and that ends with its page. */
export const connectCold = (name) => connect(new SharedWorker(WORKER, { type: 'module', name }))

/** The access token, from the bench: a page under measurement may have what a page in use may not. */
export const tokenFromBench = async () => (await fetch(`${BENCH}token`)).text()

export async function plainFetch() {
  const headers = { Authorization: `Bearer ${await tokenFromBench()}` }
  return (url) => fetch(url, { headers })
}

/** Runs `measure` and tells the bench what it found, or what went wrong. */
export async function report(measure, id = parameter('id')) {
  const outcome = await measure().then(
    (value) => ({ value }),
    (error) => ({ error: String(error?.stack ?? error) }),
  )
  await fetch(`${BENCH}result?id=${id}`, { method: 'POST', body: JSON.stringify(outcome) })
}

export const parameter = (name) => new URLSearchParams(location.search).get(name)

/** Runs two things in turns and returns what each took, in milliseconds; who begins alternates. */
export async function inTurns(pairs, one, other) {
  const times = [[], []]
  for (let pair = 0; pair < pairs; pair++) {
    for (const which of pair % 2 ? [1, 0] : [0, 1]) times[which].push(await time(which ? other : one))
  }
  return times
}

async function time(action) {
  const start = performance.now()
  await action()
  return performance.now() - start
}
