/**
 * Finds the longest task of a page's main thread, in a trace of the browser. While such a task runs, the page cannot
 * respond to the user. A trace attaches no driver to the page, and has the tasks of all threads.
 */
import { once } from 'node:events'
import { WebSocket } from 'ws'

/** The names of the marks between which a page measures. A task counts if a part of it lies between them. */
const BEGIN = 'begin'
const END = 'end'

const TRACE = {
  recordMode: 'recordAsMuchAsPossible',
  includedCategories: ['disabled-by-default-devtools.timeline', 'blink.user_timing'],
  excludedCategories: ['*'],
}

/**
 * Starts a trace. Resolves with a function that stops it, and resolves with the longest task: how long it took, and for
 * how long a processor worked on it, in milliseconds. If they differ much, other processes took the processor away.
 *
 * @param {string} endpoint The WebSocket URL of the browser's DevTools protocol.
 */
export async function traceTasks(endpoint) {
  const socket = new WebSocket(endpoint, { perMessageDeflate: false })
  await once(socket, 'open')
  const events = []
  const waiting = new Map()
  socket.on('message', (text) => {
    const { id, method, params } = JSON.parse(text)
    if (method === 'Tracing.dataCollected') for (const event of params.value) events.push(event)
    waiting.get(id ?? method)?.(params)
  })
  const reply = (name) => new Promise((resolve) => waiting.set(name, resolve))
  const send = (id, method, params) => {
    const replied = reply(id)
    socket.send(JSON.stringify({ id, method, params }))
    return replied
  }
  await send(1, 'Tracing.start', { traceConfig: TRACE })
  return async () => {
    const complete = reply('Tracing.tracingComplete')
    await send(2, 'Tracing.end')
    const { dataLossOccurred } = await complete
    socket.close()
    if (dataLossOccurred) throw new Error('the trace has lost events')
    return longestTask(events)
  }
}

function longestTask(events) {
  const markOf = (name) => {
    const found = events.filter((event) => event.name === name && event.cat.includes('blink.user_timing'))
    if (found.length !== 1) throw new Error(`the trace has ${found.length} marks ${name}, not one`)
    return found[0]
  }
  const [begin, end] = [markOf(BEGIN), markOf(END)]
  const tasks = events.filter(
    ({ name, pid, tid, ts, dur }) =>
      name === 'RunTask' && pid === begin.pid && tid === begin.tid && ts + dur > begin.ts && ts < end.ts,
  )
  if (!tasks.length) throw new Error('the trace has no tasks of the page')
  const { dur, tdur } = tasks.reduce((longest, task) => (task.dur > longest.dur ? task : longest))
  return { took: dur / 1000, processor: tdur / 1000 }
}
