/** Handles the buttons that call the API, and shows the responses. */
import type { Strongroom } from 'strongroom'
import { api } from './addresses.js'
import { byId, el } from './dom.js'
import { bytes, took } from './format.js'

interface Call {
  /** The request as the page shows it. */
  request: string
  run(auth: Strongroom, signal: AbortSignal): Promise<Response | Response[]>
}

const MANY = 20

const CALLS: Record<string, Call> = {
  orders: {
    request: 'GET /v1/orders',
    run: (auth, signal) => auth.fetch(`${api}orders`, { signal }),
  },
  order: {
    request: 'POST /v1/orders',
    run: (auth, signal) =>
      auth.fetch(`${api}orders`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ item: 'Storm lantern', quantity: 1 }),
        signal,
      }),
  },
  upload: {
    request: 'PUT /v1/upload',
    run: (auth, signal) => auth.fetch(`${api}upload`, { method: 'PUT', body: form(), signal }),
  },
  stream: {
    request: 'GET /v1/stream?n=8&interval=250',
    run: (auth, signal) => auth.fetch(`${api}stream?n=8&interval=250`, { signal }),
  },
  slow: {
    request: 'GET /v1/slow?ms=8000',
    run: (auth, signal) => auth.fetch(`${api}slow?ms=8000`, { signal }),
  },
  many: {
    request: `${MANY} × GET /v1/me`,
    run: (auth, signal) =>
      Promise.all(
        Array.from({ length: MANY }, (_, n) =>
          auth.fetch(`${api}me?n=${n}`, { signal }).finally(() => lightDot(n)),
        ),
      ),
  },
  rejected: {
    request: 'GET /v1/reject-once/…',
    run: (auth, signal) => auth.fetch(`${api}reject-once/${Date.now().toString(36)}`, { signal }),
  },
  outside: {
    request: 'GET /v2/orders',
    run: (auth, signal) => auth.fetch(new URL('/v2/orders', api), { signal }),
  },
}

/** Returns a form that has two fields of one name, and a file. */
function form(): FormData {
  const data = new FormData()
  data.append('tag', 'urgent')
  data.append('tag', 'fragile')
  data.append('photo', new File([new Uint8Array(256 * 1024)], 'crate.raw', { type: 'image/x-raw' }))
  return data
}

let running: AbortController | null = null

export function setUpCalls(auth: Strongroom): void {
  byId('calls').addEventListener('click', ({ target }) => {
    const name = (target as Element).closest('button')?.dataset.call
    const call = name ? CALLS[name] : undefined
    if (call) void perform(auth, call)
  })
  byId('cancel').addEventListener('click', () => running?.abort())
}

async function perform(auth: Strongroom, call: Call): Promise<void> {
  running?.abort()
  const controller = new AbortController()
  running = controller
  const start = performance.now()
  showStart(call)
  try {
    const response = await call.run(auth, controller.signal)
    const elapsed = () => took(performance.now() - start)
    if (Array.isArray(response)) await showMany(response, elapsed)
    else await showResponse(response, elapsed)
  } catch (error) {
    if (running === controller) showFailure(error)
  } finally {
    if (running === controller) showEnd()
  }
}

function showStart({ request }: Call): void {
  byId('result').hidden = false
  byId('cancel').hidden = false
  byId('result-request').textContent = request
  // On a phone, the result is below the screen.
  byId('result').scrollIntoView({ block: 'nearest' })
  byId('result-body').textContent = ''
  setStatus('in flight', 'wait')
  const dots = byId('result-dots')
  dots.hidden = !request.startsWith(String(MANY))
  dots.replaceChildren(...(dots.hidden ? [] : Array.from({ length: MANY }, () => el('li'))))
}

/** Scrolls to the whole result on a phone, unless the user has scrolled away from it. */
function showEnd(): void {
  const result = byId('result')
  byId('cancel').hidden = true
  const { top } = result.getBoundingClientRect()
  if (top >= 0 && top < innerHeight) result.scrollIntoView({ block: 'nearest' })
}

async function showResponse(response: Response, elapsed: () => string): Promise<void> {
  const tone = response.ok ? 'good' : 'bad'
  const line = `${response.status} ${response.statusText}`.trim()
  const body = byId('result-body')
  setStatus(`${line} · ${elapsed()}`, tone)
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for (const reader = response.body?.getReader(); reader;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    text += decoder.decode(value, { stream: true })
    body.textContent = pretty(text)
  }
  setStatus(`${line} · ${bytes(size)} · ${elapsed()}`, tone)
}

async function showMany(responses: Response[], elapsed: () => string): Promise<void> {
  const bodies = await Promise.all(responses.map((response) => response.json()))
  const good = responses.filter(({ ok }) => ok).length
  setStatus(`${good} × 200 · ${elapsed()}`, good === responses.length ? 'good' : 'bad')
  byId('result-body').textContent = pretty(JSON.stringify(bodies[0]))
}

function showFailure(error: unknown): void {
  const { name, code, message } = error as { name: string; code?: string | number; message: string }
  const refused = typeof code === 'string'
  setStatus(name === 'AbortError' ? 'canceled' : refused ? 'refused' : 'failed', 'bad')
  byId('result-body').textContent = `${name}: ${message}`
}

function lightDot(n: number): void {
  byId('result-dots').children[n]?.setAttribute('data-done', '')
}

function setStatus(text: string, tone: 'good' | 'bad' | 'wait'): void {
  const status = byId('result-status')
  status.textContent = text
  status.className = `pill ${tone}`
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
