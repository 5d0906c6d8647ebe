/** Measures requests through a vault and by plain `fetch`, in turns. Times are in milliseconds. */
import { tokenFromBench } from './connect.js'

const WARM_UP = 50

async function plainFetch(options) {
  const headers = { Authorization: `Bearer ${await tokenFromBench()}` }
  return (url, init) => fetch(url, { headers, ...options, ...init })
}

/** Measures small requests one after the other, including the parsing of their JSON. */
async function small(auth, { runs, pairs }) {
  const read = (fetcher) => async () => (await fetcher(`${API}orders`)).json()
  const both = [read(auth.fetch), read(await plainFetch())]
  const bytes = JSON.stringify(await both[0]()).length
  return { times: await runsInTurns(both, { runs, pairs }), bytes }
}

/** Measures the same requests beside `fetch` in the cache mode of the vault. */
async function uncached(auth, { runs, pairs }) {
  const read = (fetcher) => async () => (await fetcher(`${API}orders`)).json()
  return runsInTurns([read(auth.fetch), read(await plainFetch({ cache: 'no-store' }))], { runs, pairs })
}

/** Measures small requests with a body. */
async function write(auth, { runs, pairs }) {
  const init = { method: 'PUT', body: 'item=lamp' }
  const read = (fetcher) => async () => (await fetcher(`${API}echo`, init)).json()
  return runsInTurns([read(auth.fetch), read(await plainFetch())], { runs, pairs })
}

/** Measures requests whose responses have no body. */
async function empty(auth, { runs, pairs }) {
  const read = (fetcher) => () => fetcher(`${API}status/204`)
  return runsInTurns([read(auth.fetch), read(await plainFetch())], { runs, pairs })
}

/** Measures small operations in `runs` runs of `pairs` pairs, after a warm-up. */
export async function runsInTurns(both, { runs, pairs }) {
  await inTurns(WARM_UP, both)
  const times = []
  for (let run = 0; run < runs; run++) times.push(await inTurns(pairs, both))
  return times
}

const READERS = {
  whole: async (response) => (await response.arrayBuffer()).byteLength,
  async pieces({ body }) {
    let bytes = 0
    for await (const piece of body) bytes += piece.length
    return bytes
  },
}

/** Measures bodies of each size, read as a whole and piece by piece. */
async function large(auth, { sizes, bodies }) {
  const plain = await plainFetch()
  const measure = async (size, read) => {
    const receive = (fetcher) => async () => {
      const bytes = await read(await fetcher(`${API}bytes?size=${size}`))
      if (bytes !== Number(size)) throw new Error(`${bytes} of ${size} bytes came`)
    }
    const both = [receive(auth.fetch), receive(plain)]
    await inTurns(2, both)
    return inTurns(bodies, both)
  }
  const found = {}
  for (const size of sizes.split(' ')) {
    found[size] = { whole: await measure(size, READERS.whole), pieces: await measure(size, READERS.pieces) }
  }
  return found
}

/**
 * Measures the largest body, with and without searching the body for the token. The site's configuration has a rule for
 * each of the two cases.
 */
async function guard(auth, { sizes, bodies }) {
  const size = sizes.split(' ').at(-1)
  const receive = (path) => async () => {
    const bytes = await READERS.whole(await auth.fetch(`${API}${path}?size=${size}`))
    if (bytes !== Number(size)) throw new Error(`${bytes} of ${size} bytes came`)
  }
  const both = [receive('bytes'), receive(UNSEARCHED)]
  await inTurns(2, both)
  return inTurns(bodies, both)
}

/** Measures many small requests that start at the same time, until the last response has arrived. */
async function parallel(auth, { requests, bursts }) {
  const burst = (fetcher) => async () => {
    const one = async (n) => (await fetcher(`${API}orders?call=${n}`)).arrayBuffer()
    await Promise.all(Array.from({ length: Number(requests) }, (_, n) => one(n)))
  }
  const both = [burst(auth.fetch), burst(await plainFetch())]
  await inTurns(2, both)
  return inTurns(bursts, both)
}

const MEASURES = { small, uncached, write, empty, large, guard, parallel }

/**
 * @param {{ measures: string }} parameters `measures` has the names of the measures, separated by spaces. The other
 * members are parameters of these measures.
 */
export async function compare(auth, { measures, ...parameters }) {
  // This call refreshes the access token if it has expired, because the bench hands the token out to the plain
  // requests.
  await auth.fetch(`${API}orders`)
  const found = {}
  for (const name of measures.split(' ')) found[name] = await MEASURES[name](auth, parameters)
  return found
}

/**
 * Runs two functions in turns, `pairs` times each. Resolves with two arrays: the durations of each function. The
 * functions also take turns in running first.
 */
async function inTurns(pairs, both) {
  const times = [[], []]
  for (let pair = 0; pair < pairs; pair++) {
    for (const which of pair % 2 ? [1, 0] : [0, 1]) times[which].push(await time(both[which]))
  }
  return times
}

async function time(action) {
  const start = performance.now()
  await action()
  return performance.now() - start
}
