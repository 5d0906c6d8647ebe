import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'

/**
 * Milliseconds of processor time that the programs started by this one have taken, by all of their threads. What else
 * the machine does is not in it, as it is in the time on the wall. Where there is no such account (anywhere but on
 * Linux), the time on the wall.
 */
export function processorTime() {
  try {
    return descendants(process.pid).reduce((sum, pid) => sum + timeOf(pid), 0)
  } catch {
    return performance.now()
  }
}

const descendants = (pid) =>
  threads(pid)
    .flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean))
    .flatMap((child) => [child, ...descendants(child)])

const threads = (pid) => readdirSync(`/proc/${pid}/task`)

/** The first number is nanoseconds on a processor. A thread may have ended meanwhile. */
const timeOf = (pid) =>
  threads(pid).reduce(
    (sum, thread) => sum + Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]),
    0,
  ) / 1e6

const read = (path) => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error.code === 'ESRCH' || error.code === 'ENOENT') return ''
    throw error
  }
}
