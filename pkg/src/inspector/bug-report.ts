/**
 * The text of a report for a bug tracker. It has no token, no claim, and no name that the app or the user has chosen:
 * origins and paths are numbered, and places and events are named by this package.
 */
import type { Strongroom } from '../page/api.js'
import type { Control } from './control.js'
import { took } from './format.js'
import { findRecording } from './recorder.js'
import type { SearchReport } from './search.js'
import type { Shown } from './sides.js'

declare const STRONGROOM_VERSION: string

/** The parts of a report. */
export interface Observed {
  client: Strongroom | null
  shown: Shown
  timeline: (hide: (call: string) => string) => string[]
  refreshTimes: string[]
  search: SearchReport | null
  controls: Control[] | null
}

/** Writes the report. */
export function writeReport({ client, shown, timeline, refreshTimes, search, controls }: Observed): string {
  return [
    '## strongroom',
    `- version: ${STRONGROOM_VERSION}`,
    `- time: ${new Date().toISOString()}`,
    `- browser: ${navigator.userAgent}`,
    `- page: ${facts(pageFacts())}`,
    `- session: ${facts(sessionFacts(client))}`,
    '',
    '### The vault holds',
    ...list(holdings(shown)),
    '',
    '### Timeline',
    ...list(timeline(createNumbers())),
    '',
    '### Refreshes, with seconds since the first line',
    ...list(refreshTimes),
    '',
    '### Messages',
    ...list(messages()),
    '',
    '### Search for tokens',
    ...list(searched(search) ?? ['not run']),
    '',
    '### Test of the search',
    ...list(
      controls?.map(
        ({ place, result, error }) => `${place}: ${result}${error ? ` (${error.name})` : ''}`,
      ) ?? ['not run'],
    ),
    '',
  ].join('\n')
}

const list = (lines: string[]): string[] => (lines.length ? lines.map((line) => `- ${line}`) : ['- nothing'])

const facts = (values: Record<string, unknown>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

const pageFacts = () => ({
  scheme: location.protocol,
  'secure context': isSecureContext,
  'cross-origin isolated': crossOriginIsolated,
  'in a frame': window !== top,
  'service worker': Boolean(navigator.serviceWorker?.controller),
  SharedWorker: 'SharedWorker' in window,
  online: navigator.onLine,
})

function sessionFacts(client: Strongroom | null): Record<string, unknown> {
  if (!client) return { connected: false }
  const { session, endReason, elsewhere, resumed } = client
  const now = Date.now()
  return {
    connected: true,
    state: session?.state ?? null,
    ...(session && {
      began: `${took(now - session.startedAt)} ago`,
      'access token': life(session.accessTokenExpiresAt - now),
    }),
    resumed,
    endReason,
    elsewhere,
  }
}

/** Says when a token expires, or how long ago it has expired. */
const life = (left: number): string => (left > 0 ? `expires in ${took(left)}` : `expired ${took(-left)} ago`)

function holdings(shown: Shown): string[] {
  if (!shown) return ['no response']
  if (shown instanceof Error) return [`not shown: ${(shown as Error & { code?: string }).code ?? shown.name}`]
  const now = Date.now()
  return shown.map(({ kind, since, expiresAt, generation }) =>
    [
      kind,
      `${took(now - since)} old`,
      expiresAt !== null && life(expiresAt - now),
      generation !== null && `generation ${generation}`,
    ]
      .filter(Boolean)
      .join(', '),
  )
}

function messages(): string[] {
  const recording = findRecording()
  if (!recording) return ['not recorded']
  const totals = recording.totals().map(({ direction, type, count }) => `${direction} ${type}: ${count}`)
  return [recording.isComplete ? 'recorded from the start' : 'recorded from a later time', ...totals]
}

/** Paths and origins of what was found or not searched have names of the app, so only numbers are in the report. */
function searched(search: SearchReport | null): string[] | undefined {
  return search?.places.map(({ place, looked, unit, findings }) => {
    const shapes = findings.filter(({ known }) => !known).map(({ shape }) => shape)
    return `${place}: ${looked} × ${unit}, tokens: ${shapes.join(', ') || 'none'}`
  })
}

/** Returns a function that replaces the URL of a call by numbers, which are equal for equal origins and paths. */
export function createNumbers(): (call: string) => string {
  const origins = new Map<string, number>()
  const paths = new Map<string, number>()
  const number = (numbers: Map<string, number>, text: string) => {
    if (!numbers.has(text)) numbers.set(text, numbers.size + 1)
    return numbers.get(text)
  }
  return (call) => {
    const [method = '', address = ''] = call.split(' ')
    const url = URL.parse(address)
    const known = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method) ? method : 'request'
    if (!url) return known
    const origin = url.origin === location.origin ? 'own origin' : `API ${number(origins, url.origin)}`
    return `${known} ${origin} path ${number(paths, url.origin + url.pathname)}`
  }
}
