/**
 * The page of one contender. The first tab signs in and measures. Each further tab waits for the signal to call at the
 * same time as the other tabs.
 */
import { CONTENDERS } from './contenders.js'
import { parameters, report } from './connect.js'

const isBack = location.pathname === '/callback'
if (!isBack && !parameters.tab) sessionStorage.setItem('trip', JSON.stringify(parameters))
const trip = parameters.tab ? parameters : JSON.parse(sessionStorage.getItem('trip'))

const ORDERS = `${API}orders`

const time = async (action) => {
  const start = performance.now()
  await action()
  return performance.now() - start
}
const times = async (count, action) => {
  const taken = []
  for (let n = 0; n < Number(count); n++) taken.push(await time(() => action(n)))
  return taken
}
const read = async (response) => {
  const { byteLength } = await response.arrayBuffer()
  if (!response.ok) throw new Error(`the API answered ${response.status}`)
  return byteLength
}

async function measure({ fetch }) {
  const { warmUp, pairs, requests, bursts, size, bodies } = trip
  const small = async () => read(await fetch(ORDERS))
  const burst = () => Promise.all(Array.from({ length: Number(requests) }, small))
  const large = async () => {
    const bytes = await read(await fetch(`${API}bytes?size=${size}`))
    if (bytes !== Number(size)) throw new Error(`${bytes} of ${size} bytes came`)
  }
  await times(warmUp, small)
  const found = { small: await times(pairs, small) }
  await times(2, burst)
  found.parallel = await times(bursts, burst)
  await times(2, large)
  found.large = await times(bodies, large)
  return found
}

/** Lets all tabs call at once when the access token has expired. The tab that signed in coordinates the others. */
async function storm({ fetch }) {
  const channel = new BroadcastChannel('storm')
  const next = (is) =>
    new Promise((resolve) => {
      const listener = ({ data }) => is(data) && resolve(channel.removeEventListener('message', listener))
      channel.addEventListener('message', listener)
    })
  const callAll = async () => {
    const settled = await Promise.allSettled(
      Array.from({ length: Number(trip.calls) }, () => fetch(ORDERS).then(read)),
    )
    return settled.filter(({ status }) => status === 'fulfilled').length
  }
  if (trip.tab) {
    const go = next((data) => data === 'go')
    channel.postMessage({ here: trip.tab })
    await go
    channel.postMessage({ done: await callAll() })
    return undefined
  }
  const others = Number(trip.tabs) - 1
  const seen = new Set()
  const everybody = next(({ here }) => here && seen.add(here).size === others)
  // This message makes the bench open the other tabs.
  await globalThis.fetch(`${BENCH}result?id=${trip.id} ready`, { method: 'POST', body: '{"value":1}' })
  await everybody
  await globalThis.fetch(`${BENCH}expired`)
  let succeeded = 0
  let done = 0
  const all = next((data) => {
    if (data.done === undefined) return false
    succeeded += data.done
    return ++done === others
  })
  const ms = await time(async () => {
    channel.postMessage('go')
    const own = await callAll()
    await all
    succeeded += own
  })
  return { ms, succeeded }
}

const contender = await CONTENDERS[trip.contender]()
if (trip.tab) {
  if (await contender.join()) storm(contender)
  else new BroadcastChannel('storm').postMessage({ here: trip.tab })
} else if (isBack) {
  report(async () => {
    await contender.callback()
    return { measure, storm }[trip.what](contender)
  }, trip.id)
} else contender.login()
