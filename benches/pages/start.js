/**
 * Measures the time from the start of a page until its vault responds, and until the first byte of a response that
 * needed a token. The clock of `performance.now()` starts with the navigation.
 *
 * The page navigates to itself for each sample, and measures the kinds of vaults in turns.
 */
import { connectNew, connectSealed, connectShared, parameters, report, tokenFromBench } from './connect.js'

const ORDERS = `${API}orders`

const firstByte = async (response) => {
  await response.body.getReader().read()
  return performance.now()
}

const KINDS = {
  /** Measures a worker that must load its file and the core. */
  async fresh({ count }) {
    await connectNew(`start ${parameters.id} ${count}`)
    return { handshake: performance.now() }
  },
  /** Measures a worker that another tab has started, and that has a session. */
  async running() {
    const auth = await connectShared()
    const handshake = performance.now()
    return { handshake, firstByte: await firstByte(await auth.fetch(ORDERS)) }
  },
  /** Measures a worker that must load its file and the core, and read the session from the store. */
  async kept({ count }) {
    const auth = await connectSealed(`start ${parameters.id} ${count}`)
    const handshake = performance.now()
    return { handshake, firstByte: await firstByte(await auth.fetch(ORDERS)) }
  },
  /** Measures a page that uses no vault and has a token from the start. */
  async plain({ token }) {
    const headers = { Authorization: `Bearer ${token}` }
    return { firstByte: await firstByte(await fetch(ORDERS, { headers })) }
  },
}

const NAMES = Object.keys(KINDS)

/** The first round is not counted, because the browser's caches are still empty. */
const rounds = Number(parameters.rounds) + 1

const state = JSON.parse(sessionStorage.getItem('samples'))
if (!state) {
  keep({ count: 0, samples: [], token: await tokenFromBench() })
  location.reload()
} else if (state.count < rounds * NAMES.length) {
  const kind = NAMES[state.count % NAMES.length]
  const sample = await KINDS[kind](state)
  keep({ ...state, count: state.count + 1, samples: [...state.samples, { kind, ...sample }] })
  location.reload()
} else {
  report(async () => state.samples.slice(NAMES.length))
}

function keep(changed) {
  sessionStorage.setItem('samples', JSON.stringify(changed))
}
