/**
 * Notices late periods, in which this process stood still or was too busy to read requests: then a timer comes late. The
 * core decides what that means for the requests that waited.
 */
import type { Host } from './host.js'

/** The milliseconds between two calls of the timer. */
const TICK = 1000

/** The milliseconds by which the timer of a process that has enough time may come late. */
const SLACK = 100

/** The log has a line about a late period of at least this many milliseconds. */
const NOTABLE = 2000

/** The shortest time between two lines, in milliseconds. */
const A_MINUTE = 60_000

/** The number of late periods that a handler learns when it starts. */
const MOST = 32

/** A time by the monotonic clock and by the wall clock, which goes on while a machine is suspended. */
interface Clocks {
  monotonic: number
  wall: number
}

/** A late period: its length in milliseconds, and its end. */
export interface LatePeriod {
  lateness: number
  at: Clocks
}

/**
 * Variables of platforms that freeze a process between its requests: AWS Lambda, Google Cloud Run, Vercel and Deno Deploy.
 * Nothing waits for a frozen process, so there only the time counts in which a request was in flight.
 */
const FREEZING = ['AWS_LAMBDA_FUNCTION_NAME', 'K_SERVICE', 'VERCEL', 'DENO_DEPLOYMENT_ID']

/** Returns true if the environment has this variable. Deno is not asked for the permission to read it. */
const isSet = (variable: string): boolean => {
  const { process, Deno } = globalThis as {
    process?: { env: Record<string, string | undefined> }
    Deno?: { permissions?: { querySync(wanted: object): { state: string } } }
  }
  const permission = Deno?.permissions?.querySync({ name: 'env', variable }).state ?? 'granted'
  return permission === 'granted' && process?.env[variable] !== undefined
}

const known: LatePeriod[] = []
const hosts = new Set<WeakRef<Host>>()
let last: Clocks | undefined
let freezes = false
/** The number of requests in flight. */
let inFlight = 0
/** The time of the last line of the log, and the number of notable late periods since. */
let [reported, unreported] = [-Infinity, 0]

const clocks = (): Clocks => ({ monotonic: performance.now(), wall: Date.now() })

/** Tells the hosts of a late period, if it has one. */
const noticeLateness = (): void => {
  if (!last) return
  const at = clocks()
  if (freezes && !inFlight) last = at
  const lateness = Math.max(at.monotonic - last.monotonic, at.wall - last.wall)
  if (lateness <= TICK + SLACK) return
  last = at
  known.push({ lateness, at })
  if (known.length > MOST) known.shift()
  let isLate = lateness >= NOTABLE
  for (const ref of hosts) {
    const host = ref.deref()
    if (!host || host.isBroken) hosts.delete(ref)
    else {
      host.noteLateness({ lateness, at })
      // One handler speaks for the process.
      if (isLate) report(host, lateness, at)
      isLate = false
    }
  }
}

/** Reports a late period to the operator, at most once a minute. */
const report = (host: Host, lateness: number, { monotonic }: Clocks): void => {
  if (monotonic - reported < A_MINUTE) {
    unreported++
    return
  }
  const more = unreported ? `; more since the last report: ${unreported}` : ''
  host.warnOfLateness(
    `this process read no request for up to ${Math.ceil(lateness / 1000)} s: it was busy, starved of its processor or suspended, or its clock was set forward${more}`,
  )
  ;[reported, unreported] = [monotonic, 0]
}

/** Called before a request is read. Returns a function that is called when it is over. */
export const beginRequest = (): (() => void) => {
  noticeLateness()
  inFlight++
  return () => {
    noticeLateness()
    inFlight--
  }
}

/** Tells a host that starts what is known, and from now on what is noticed. */
export const tellLateness = (host: Host): void => {
  for (const period of known) host.noteLateness(period)
  hosts.add(new WeakRef(host))
}

/** Starts the timer, which keeps no process alive. For platforms whose timers are not bound to a request. */
export const watchProcess = (): void => {
  if (last) return
  freezes = FREEZING.some(isSet)
  last = clocks()
  const tick = () => {
    noticeLateness()
    last = clocks()
  }
  const timer: unknown = setInterval(tick, TICK)
  ;(timer as { unref?(): void }).unref?.()
  ;(globalThis as { Deno?: { unrefTimer(timer: unknown): void } }).Deno?.unrefTimer(timer)
}

/** Resolves when the platform has read what has arrived until now, as far as the platform can say. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate } = globalThis as { setImmediate?: (act: () => void) => void }
    if (setImmediate) setImmediate(resolve)
    else setTimeout(resolve, 0)
  })

/**
 * Calls `act` after a time, unless the returned function is called before. After a late period, a process's
 * timers come before the responses that have arrived meanwhile, so `act` waits for a turn.
 */
export const afterTime = (milliseconds: number, act: () => void): (() => void) => {
  let isOver = false
  const timer = setTimeout(() => void turn().then(() => isOver || act()), milliseconds)
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}
