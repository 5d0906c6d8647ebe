/**
 * How long after the start of a page its vault answers, and how long until the first byte of an answer that
 * needed a token. The clock of `performance.now()` starts with the navigation.
 *
 * The page navigates to itself for each sample, the kinds in turns.
 */
import { connectNew, connectSealed, connectShared, parameters, report, tokenFromBench } from './connect.js'

const ORDERS = `${API}orders`

const firstByte = async (response) => {
  await response.body.getReader().read()
  return performance.now()
}

const KINDS = {
  /** A worker that has yet to load its file and the core. */
  async fresh({ count }) {
    await connectNew(`start ${parameters.id} ${count}`)
    return { handshake: performance.now() }
  },
  /** A worker that another tab has started, with a session. */
  async running() {
    const auth = await connectShared()
    const handshake = performance.now()
    return { handshake, firstByte: await firstByte(await auth.fetch(ORDERS)) }
  },
  /** A worker that has yet to load all that, and to take the session out of the store. */
  async kept({ count }) {
    const auth = await connectSealed(`start ${parameters.id} ${count}`)
    const handshake = performance.now()
    return { handshake, firstByte: await firstByte(await auth.fetch(ORDERS)) }
  },
  /** No vault: a page that was born with a token. */
  async plain({ token }) {
    const headers = { Authorization: `Bearer ${token}` }
    return { firstByte: await firstByte(await fetch(ORDERS, { headers })) }
  },
}

const NAMES = Object.keys(KINDS)

/** The first time around is not counted: nothing is cached then. */
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
