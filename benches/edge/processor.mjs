import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'

/**
 * Returns the processor time of processes in milliseconds, including all their threads: of `pids`, or of all descendants of
 * this process. Unlike
 * wall-clock time, processor time excludes other load on the machine. Only Linux reports processor time. On other
 * systems this function returns wall-clock time.
 */
export function processorTime(pids = undefined) {
  try {
    return (pids ?? descendants(process.pid)).reduce((sum, pid) => sum + timeOf(pid), 0)
  } catch {
    return performance.now()
  }
}

/** Returns the resident memory of processes in megabytes. */
export const memoryOf = (pids) =>
  pids.reduce((sum, pid) => sum + Number(/VmRSS:\s*(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0), 0) /
  1024

/** Returns the numbers of the processes that a process has started, and that these have started. */
export const descendants = (pid) =>
  threads(pid)
    .flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean))
    .flatMap((child) => [child, ...descendants(child)])

const threads = (pid) => readdirSync(`/proc/${pid}/task`)

/**
 * Returns the processor time of a process in milliseconds. The first number in `schedstat` is a thread's processor time
 * in nanoseconds. A thread that has ended in the meantime counts as 0.
 */
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
