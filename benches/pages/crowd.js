/**
 * Several tabs show this page, and call the API at the same time after the access token has expired. The first tab
 * coordinates the others: it waits until they have connected and the token has expired, gives the signal, and reports
 * when the last call has completed.
 */
import { connectShared, parameters, report, tokenFromBench } from './connect.js'

const channel = new BroadcastChannel('crowd')
const tabs = Number(parameters.tabs)
const calls = Number(parameters.calls)
const name = Number(parameters.tab)

const auth = await connectShared()
if (name === 0) report(conduct)
else follow()

function follow() {
  channel.onmessage = async ({ data }) => {
    if (data === 'who is here?') channel.postMessage({ here: name })
    else if (data.token !== undefined) channel.postMessage({ done: await callAll(data) })
  }
  channel.postMessage({ here: name })
}

async function conduct() {
  await everybody()
  const runs = []
  for (let run = 0; run < Number(parameters.runs); run++) {
    await expired()
    const startedAt = Date.now()
    const vault = await together({ token: null })
    // The tabs make the same calls with plain `fetch` and a valid token, without a refresh and without a vault.
    const plain = await together({ token: await tokenFromBench() })
    runs.push({ startedAt, vault, plain })
  }
  return runs
}

/** Resolves when all tabs have connected. */
function everybody() {
  const missing = new Set(Array.from({ length: tabs - 1 }, (_, i) => i + 1))
  return new Promise((resolve) => {
    channel.onmessage = ({ data: { here } }) => missing.delete(here) && !missing.size && resolve()
    channel.postMessage('who is here?')
  })
}

/** Resolves when the vault has no valid access token any more. */
async function expired() {
  const left = auth.session.accessTokenExpiresAt - Date.now()
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, left) + 50))
}

/**
 * Lets all tabs call at the same time. Resolves with `succeeded`, the number of successful calls of all tabs, and `ms`,
 * the milliseconds until the last call has completed.
 */
async function together(sign) {
  const start = performance.now()
  let succeeded = 0
  let left = tabs
  await new Promise((resolve) => {
    const count = (done) => {
      succeeded += done
      if (--left === 0) resolve()
    }
    channel.onmessage = ({ data }) => count(data.done)
    channel.postMessage(sign)
    callAll(sign).then(count)
  })
  return { succeeded, ms: performance.now() - start }
}

/** @returns {Promise<number>} The number of successful calls. */
async function callAll({ token }) {
  const headers = { Authorization: `Bearer ${token}` }
  const one = async (n) => {
    const url = `${API}orders?tab=${name}&call=${n}`
    const response = await (token === null ? auth.fetch(url) : fetch(url, { headers }))
    await response.arrayBuffer()
    return response.ok
  }
  const settled = await Promise.allSettled(Array.from({ length: calls }, (_, n) => one(n)))
  return settled.filter(({ value }) => value).length
}
