/**
 * Shows the timeline of events, newest first. A call has one line, which is updated when the call waits, is sent, is
 * retried after a 401, and gets its response. Calls that begin at the same time share a line.
 */
import type { Strongroom, TraceEvent } from 'strongroom'
import { byId, el, onClick } from './dom.js'
import { clock, took } from './format.js'

const LIMIT = 200
/** Calls that begin within this many milliseconds after the first call of a line share this line. */
const TOGETHER_MS = 120

type Tone = 'plain' | 'good' | 'key' | 'wait' | 'bad'

interface CallState {
  detail: string
  waited: boolean
  retried: boolean
  statuses: number[]
  at: number
  endedAt: number | null
}

interface Burst {
  startedAt: number
  calls: Map<number, CallState>
  line: Line
}

interface Line {
  item: HTMLLIElement
  title: HTMLElement
  detail: HTMLElement
}

const bursts: Burst[] = []
const times = new WeakMap<Element, number>()
let refreshStartedAt = 0

/** Starts to show the vault's events. */
export function setUpTimeline(auth: Strongroom): void {
  auth.on('trace', showEvent)
  onClick('clear', () => {
    bursts.length = 0
    byId('timeline').replaceChildren()
    byId('timeline-empty').hidden = false
  })
}

/** Adds a line to the timeline. */
export function note(title: string, detail = '', tone: Tone = 'plain', at = Date.now()): void {
  addLine(at, title, detail, tone)
}

function showEvent(event: TraceEvent): void {
  if (event.call !== null) return showCall(event.call, event)
  const { at, generation, detail, status } = event
  switch (event.event) {
    case 'login_started':
      return note('Login started', 'authorization request with PKCE, state and nonce', 'plain', at)
    case 'login_completed':
      return note('Signed in', 'code exchanged, ID token validated', 'good', at)
    case 'refresh_started':
      refreshStartedAt = at
      return note('Refresh started', 'the refresh token was sent to the provider', 'wait', at)
    case 'refresh_completed':
      return note(
        rotation(generation),
        refreshStartedAt ? `a new access token, after ${took(at - refreshStartedAt)}` : 'a new access token',
        'key',
        at,
      )
    case 'refresh_failed':
      return note('Refresh failed', [status, detail].filter(Boolean).join(' '), 'bad', at)
    case 'session_ended':
      return note('Session ended', detail ?? '', 'bad', at)
    case 'token_revoked':
      return note('Refresh token revoked', 'at the provider (RFC 7009)', 'plain', at)
  }
}

function rotation(generation: number | null): string {
  return generation === null ? 'Refresh completed' : `Refresh token rotated ${generation - 1} → ${generation}`
}

function showCall(id: number, { event, at, detail, status }: TraceEvent): void {
  const burst = bursts.find(({ calls }) => calls.has(id)) ?? joinBurst(id, at, detail ?? '')
  const call = burst.calls.get(id) as CallState
  if (detail) call.detail = detail
  if (event === 'call_waiting') call.waited = true
  if (event === 'call_retried') call.retried = true
  if (event === 'call_answered') {
    call.statuses.push(status ?? 0)
    call.endedAt = at
  }
  burst.line.title.textContent = titleOf(burst)
  burst.line.detail.textContent = detailOf(burst)
  burst.line.item.dataset.tone = toneOf(burst)
}

function joinBurst(id: number, at: number, detail: string): Burst {
  const call = { detail, waited: false, retried: false, statuses: [], at, endedAt: null }
  const latest = bursts.at(-1)
  if (latest && at - latest.startedAt < TOGETHER_MS) {
    latest.calls.set(id, call)
    return latest
  }
  const burst = { startedAt: at, calls: new Map([[id, call]]), line: addLine(at, '', '', 'wait') }
  bursts.push(burst)
  return burst
}

function titleOf({ calls }: Burst): string {
  const [first] = calls.values()
  const what = first?.detail.replace(/https?:\/\/[^/]+/, '') || 'Call'
  return calls.size === 1 ? what : `${calls.size} calls at once: ${what}`
}

function detailOf({ calls }: Burst): string {
  const all = [...calls.values()]
  const waited = all.filter((call) => call.waited).length
  const retried = all.filter((call) => call.retried).length
  const ended = all.filter((call) => call.endedAt !== null)
  const parts = [
    waited && (calls.size === 1 ? 'waited for the refresh' : `${waited} waited for one refresh`),
    retried && (calls.size === 1 ? 'retried' : `${retried} retried`),
    statuses(all),
    ended.length === all.length &&
      took(Math.max(...ended.map(({ at, endedAt }) => (endedAt as number) - at))),
    ended.length < all.length && ended.length > 0 && `${all.length - ended.length} on the way`,
  ]
  return parts.filter(Boolean).join(' · ')
}

/** Formats the status codes of calls, as in `200`, `401, 200` or `20 × 200`. */
function statuses(calls: CallState[]): string {
  const counts = new Map<number, number>()
  for (const status of calls.flatMap((call) => call.statuses))
    counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts].map(([status, count]) => (count > 1 ? `${count} × ${status}` : `${status}`)).join(', ')
}

function toneOf({ calls }: Burst): Tone {
  const all = [...calls.values()]
  if (all.some(({ endedAt }) => endedAt === null)) return 'wait'
  return all.every(({ statuses }) => (statuses.at(-1) ?? 0) < 400) ? 'good' : 'bad'
}

function addLine(at: number, title: string, detail: string, tone: Tone): Line {
  const list = byId('timeline')
  const line = {
    title: el('b', {}, title),
    detail: el('span', { class: 'detail' }, detail),
    item: el('li', { 'data-tone': tone }),
  }
  const time = el('time', { datetime: new Date(at).toISOString() }, clock(at))
  line.item.append(time, line.title, line.detail)
  times.set(line.item, at)
  const older = [...list.children].find((item) => (times.get(item) ?? 0) <= at)
  list.insertBefore(line.item, older ?? null)
  if (list.children.length > LIMIT) list.lastElementChild?.remove()
  byId('timeline-empty').hidden = true
  return line
}

/** Adds a line for a call that the vault refused. The vault has no trace event for such a call. */
export function noteRefusal(error: unknown): void {
  const { code } = error as { code?: string }
  if (code) note(`Refused: ${code}`, 'nothing was sent', 'bad')
}
