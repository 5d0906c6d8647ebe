/**
 * The timeline of events, newest first. A call has one line, which is updated when the call waits, is sent, is retried
 * after a 401, and gets its response. Calls that begin at the same time share a line.
 */
import type { AuthState } from '../page/auth/auth.js'
import type { CallEvent, Session, Strongroom, TraceEvent } from '../page/api.js'
import { button, el } from './dom.js'
import { clock, took } from './format.js'
import { findRecording } from './recorder.js'
import { RefreshTimes, shortDetail } from './refresh-times.js'

const LIMIT = 200
/** Calls that begin within this many milliseconds after the first call of a line share this line. */
const TOGETHER_MS = 120
/** A message that refuses a call is received at most so many milliseconds before the call rejects. */
const AT_ONCE_MS = 200

type Tone = 'plain' | 'good' | 'key' | 'wait' | 'bad'

interface CallState {
  /** Method and URL. */
  detail: string
  waited: boolean
  retried: boolean
  statuses: number[]
  at: number
  endedAt: number | null
}

interface Line {
  at: number
  item: HTMLLIElement
  title: HTMLElement
  detail: HTMLElement
  /** Returns the line for the bug report. `hide` replaces method and URL. */
  report(hide: (call: string) => string): string
}

interface Burst {
  startedAt: number
  calls: Map<number, CallState>
  line: Line
}

export class Timeline {
  readonly element: HTMLElement
  /** False until the vault has shown that it reports its events. */
  isTraced = false
  #lines: Line[] = []
  #bursts: Burst[] = []
  #refreshStartedAt = 0
  readonly #refreshTimes = new RefreshTimes()
  #session: Session | null = null
  #client: Strongroom | null = null
  readonly #list = el('ol')
  readonly #empty = el('p', { class: 'soft' }, 'Logins, refreshes, calls and refusals appear here.')

  constructor() {
    this.element = el(
      'section',
      { class: 'card timeline', 'aria-labelledby': 'timeline-title' },
      el(
        'div',
        { class: 'head' },
        el('h3', { id: 'timeline-title' }, 'Timeline'),
        button('Clear', () => this.#clear()),
      ),
      el(
        'div',
        {
          class: 'scroll',
          role: 'log',
          'aria-labelledby': 'timeline-title',
          'aria-relevant': 'additions',
          tabindex: '0',
        },
        this.#empty,
        this.#list,
      ),
    )
  }

  /** Shows the events of a client. Returns a function that stops. */
  watch(client: Strongroom): () => void {
    this.#session = client.session
    const isNew = client !== this.#client
    this.#client = client
    if (isNew && client.session && client.resumed) {
      this.#note('Session found', `source: ${client.resumed}`, 'good')
    }
    const stops = [
      client.on('trace', (event) => this.#showEvent(event)),
      client.on('call', (call) => this.#showOutcome(call)),
      client.on('change', ({ session, reason }) => this.#showChange(session, reason)),
      client.on('expiring', ({ at }) => this.#note('Session is about to end', `at ${clock(at)}`, 'wait')),
      client.on('failed', ({ code }) => this.#note('The vault stopped', code, 'bad')),
    ]
    return () => stops.forEach((stop) => stop())
  }

  /** Shows the error of a login or of a connection. */
  showError(error: NonNullable<AuthState['error']>): void {
    this.#note(`Failed: ${error.code ?? error.name}`, '', 'bad')
  }

  /** Returns the lines for a bug report, oldest first. */
  report(hide: (call: string) => string): string[] {
    return this.#lines.map((line) => `${new Date(line.at).toISOString()} ${line.report(hide)}`).reverse()
  }

  /** Returns the times of refreshes for a bug report, oldest first. */
  refreshTimes(): string[] {
    return this.#refreshTimes.report()
  }

  #clear(): void {
    this.#lines = []
    this.#bursts = []
    this.#list.replaceChildren()
    this.#empty.hidden = false
  }

  /** Adds a line. Title and detail are also in the bug report, so they contain nothing of the app or the user. */
  #note(title: string, detail = '', tone: Tone = 'plain', at = Date.now()): void {
    this.#addLine(at, title, detail, tone, () => [title, detail].filter(Boolean).join(': '))
  }

  /** Without events of the vault, the changes of the session are all that the page knows. */
  #showChange(session: Session | null, reason: string | null): void {
    const before = this.#session
    this.#session = session
    if (this.isTraced) return
    if (!session) {
      if (before) this.#note('Session ended', reason ?? '', 'bad')
    } else if (before?.startedAt !== session.startedAt) this.#note('Session began', '', 'good')
    else if (before.accessTokenExpiresAt !== session.accessTokenExpiresAt) {
      this.#note('Session refreshed', '', 'key')
    }
  }

  #showEvent(event: TraceEvent): void {
    this.isTraced = true
    if (event.call !== null) return this.#showCall(event.call, event)
    const { at, generation, status } = event
    this.#refreshTimes.add(event)
    const detail = shortDetail(event)
    switch (event.event) {
      case 'login_started':
        return this.#note('Login started', 'authorization request with PKCE, state and nonce', 'plain', at)
      case 'login_completed':
        return this.#note('Signed in', 'code exchanged, ID token validated', 'good', at)
      case 'session_restored':
        return this.#note('Session restored', 'from the store', 'good', at)
      case 'line_doubted':
        return this.#note('Network may have changed', detail ?? '', 'plain', at)
      case 'line_probed':
        return this.#note('Probe sent', 'the refresh waits for any response of the provider', 'wait', at)
      case 'refresh_started':
        this.#refreshStartedAt = at
        return this.#note('Refresh started', 'the refresh token was sent to the provider', 'wait', at)
      case 'refresh_completed':
        return this.#note(
          rotation(generation),
          `a new access token${this.#refreshStartedAt ? `, after ${took(at - this.#refreshStartedAt)}` : ''}`,
          'key',
          at,
        )
      case 'refresh_failed':
        return this.#note('Refresh failed', [status, detail].filter(Boolean).join(' '), 'bad', at)
      case 'session_ended':
        return this.#note('Session ended', detail ?? '', 'bad', at)
      case 'token_revoked':
        return this.#note('Refresh token revoked', 'at the provider (RFC 7009)', 'plain', at)
      default:
        return this.#note(`Warning: ${event.event}`, 'see the console', 'bad', at)
    }
  }

  #showCall(id: number, { event, at, detail, status }: TraceEvent): void {
    const burst = this.#bursts.find(({ calls }) => calls.has(id)) ?? this.#joinBurst(id, at, detail ?? '')
    const call = burst.calls.get(id) as CallState
    if (event === 'call_waiting') call.waited = true
    if (event === 'call_retried') call.retried = true
    if (event === 'call_answered') {
      call.statuses.push(status ?? 0)
      call.endedAt = at
    } else if (detail) call.detail = detail
    showBurst(burst)
  }

  /**
   * Shows how a call of this page ended, if the vault reported no events of this call: because the vault reports none, or
   * because it refused the call.
   */
  async #showOutcome({ url, method, status, duration }: CallEvent): Promise<void> {
    const at = Date.now()
    const messages = findRecording()?.messages ?? []
    // The event of the vault is on its way: its text is loaded first.
    await new Promise((resolve) => setTimeout(resolve, 50))
    const detail = `${method} ${url}`
    const sent = this.#bursts
      .flatMap((burst) => [...burst.calls.values()].map((call) => ({ burst, call })))
      .find(({ call }) => call.detail === detail && (call.endedAt ?? at) >= at - duration - AT_ONCE_MS)
    if (sent) {
      // A call that the app has canceled.
      if (!status && sent.call.endedAt === null) {
        sent.call.endedAt = at
        sent.call.statuses.push(0)
        showBurst(sent.burst)
      }
      return
    }
    if (status) {
      const call = { detail, waited: false, retried: false, statuses: [status] }
      return showBurst(this.#addCalls(at, new Map([[0, { ...call, at: at - duration, endedAt: at }]])))
    }
    const refusal = messages.filter(({ type }) => type === 'error').at(-1)
    const code = refusal && refusal.at > at - AT_ONCE_MS && /"code":"(\w+)"/.exec(refusal.text)?.[1]
    const title = code ? `Refused: ${code}` : this.isTraced ? 'Refused or canceled' : 'Failed'
    const shown = this.isTraced ? 'nothing was sent' : ''
    this.#addLine(at, title, [pathOf(detail), shown].filter(Boolean).join(' · '), 'bad', (hide) =>
      [title, hide(detail), shown].filter(Boolean).join(', '),
    )
  }

  #joinBurst(id: number, at: number, detail: string): Burst {
    const call = { detail, waited: false, retried: false, statuses: [], at, endedAt: null }
    const latest = this.#bursts.at(-1)
    if (latest && at - latest.startedAt < TOGETHER_MS) {
      latest.calls.set(id, call)
      return latest
    }
    const burst = this.#addCalls(at, new Map([[id, call]]))
    this.#bursts.push(burst)
    if (this.#bursts.length > LIMIT) this.#bursts.shift()
    return burst
  }

  #addCalls(at: number, calls: Map<number, CallState>): Burst {
    const report = (hide: (call: string) => string) => {
      const shown = [...new Set([...calls.values()].map(({ detail }) => hide(detail)))]
      return `${plural(calls.size)} ${shown.join(', ')}: ${detailOf(calls)}`
    }
    return { startedAt: at, calls, line: this.#addLine(at, '', '', 'wait', report) }
  }

  #addLine(at: number, title: string, detail: string, tone: Tone, report: Line['report']): Line {
    const line = {
      at,
      title: el('b', {}, title),
      detail: el('span', { class: 'detail' }, detail),
      item: el('li', { 'data-tone': tone }),
      report,
    }
    const time = el('time', { datetime: new Date(at).toISOString() }, clock(at))
    line.item.append(time, line.title, line.detail)
    const index = this.#lines.findIndex((other) => other.at <= at)
    const position = index < 0 ? this.#lines.length : index
    this.#list.insertBefore(line.item, this.#lines[position]?.item ?? null)
    this.#lines.splice(position, 0, line)
    if (this.#lines.length > LIMIT) this.#lines.pop()?.item.remove()
    this.#empty.hidden = true
    return line
  }
}

function rotation(generation: number | null): string {
  return generation === null ? 'Refresh completed' : `Refresh token rotated ${generation - 1} → ${generation}`
}

function showBurst({ calls, line }: Burst): void {
  line.title.textContent = titleOf(calls)
  line.detail.textContent = detailOf(calls)
  line.item.dataset.tone = toneOf(calls)
}

type Calls = Map<number, CallState>

function titleOf(calls: Calls): string {
  const [first] = calls.values()
  const what = pathOf(first?.detail ?? '') || 'Call'
  return calls.size === 1 ? what : `${calls.size} calls at once: ${what}`
}

const plural = (calls: number) => (calls === 1 ? 'Call' : `${calls} calls at once:`)

/** Removes the origin from method and URL. */
const pathOf = (detail: string) => detail.replace(/\w+:\/\/[^/]+/, '')

function detailOf(calls: Calls): string {
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
    ended.length < all.length && ended.length > 0 && `${all.length - ended.length} in flight`,
  ]
  return parts.filter(Boolean).join(' · ')
}

/** Formats the status codes of calls, as in `200`, `401, 200` or `20 × 200`. */
function statuses(calls: CallState[]): string {
  const counts = new Map<number, number>()
  for (const status of calls.flatMap((call) => call.statuses))
    counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts]
    .map(([status, count]) => (count > 1 ? `${count} × ` : '') + (status || 'no response'))
    .join(', ')
}

function toneOf(calls: Calls): Tone {
  const all = [...calls.values()]
  if (all.some(({ endedAt }) => endedAt === null)) return 'wait'
  const isGood = ({ statuses }: CallState) => (statuses.at(-1) || 400) < 400
  return all.every(isGood) ? 'good' : 'bad'
}
