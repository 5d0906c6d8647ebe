/** The two sides of the boundary: data that script in this page can see, and the vault's holdings. */
import type { Holding, Session, Strongroom } from '../page/api.js'
import { button, code, el, replace, terms } from './dom.js'
import { clock, count, relative, span } from './format.js'
import { findRecording, startRecording, type Recording } from './recorder.js'
import { tokensInMessages } from './search.js'

const KINDS: Record<Holding['kind'], string> = {
  access_token: 'Access token',
  refresh_token: 'Refresh token',
  id_token: 'ID token',
  pending_login: 'Pending login',
}

/** The holdings of the vault, or the error with which it refuses to show them. `null` before its response. */
export type Shown = Holding[] | Error | null

/** Returns true on a host that a deployed app does not have. */
export const isLoopback = (): boolean => /^(.+\.)?localhost$|^127\.|^\[::1\]$/.test(location.hostname)

export class Sides {
  readonly element: HTMLElement
  readonly #page = el('div', { class: 'page-view' })
  readonly #messages = el('div', { class: 'messages-view' })
  readonly #vault = el('div', { class: 'vault-view' })
  readonly #crossing = el('p', { class: 'crossing' })

  constructor() {
    this.element = el(
      'section',
      { class: 'sides', 'aria-label': 'Both sides of the boundary' },
      el('div', { class: 'card' }, el('h3', {}, 'What this page can see'), this.#page, this.#messages),
      this.#crossing,
      el('div', { class: 'card vault' }, el('h3', {}, 'What the vault holds'), this.#vault),
    )
  }

  async show(client: Strongroom | null, shown: Shown): Promise<void> {
    const recording = findRecording()
    replace(this.#crossing, ...crossing(recording))
    replace(this.#vault, ...vaultView(shown))
    if (recording) replace(this.#messages, ...messagesView(recording))
    // A button is not replaced each second.
    else if (!this.#messages.hasChildNodes()) this.#messages.append(...withoutRecording())
    replace(this.#page, ...(await pageView(client?.session ?? null)))
  }
}

function crossing(recording: Recording | undefined): HTMLElement[] {
  if (!recording) return []
  const messages = recording.totals().reduce((sum, { count }) => sum + count, 0)
  return [counter(messages, 'message'), counter(tokensInMessages(recording), 'token')]
}

function counter(number: number, unit: string): HTMLElement {
  return el('span', {}, el('strong', {}, count(number)), number === 1 ? ` ${unit}` : ` ${unit}s`)
}

async function pageView(session: Session | null): Promise<HTMLElement[]> {
  return [
    ...sessionView(session),
    el('h4', {}, 'Storage of this origin'),
    terms([
      ['localStorage', keysOf(() => Object.keys(localStorage))],
      ['sessionStorage', keysOf(() => Object.keys(sessionStorage))],
      ['Cookies', keysOf(cookieNames)],
      ['IndexedDB', names(await databaseNames())],
    ]),
  ]
}

function sessionView(session: Session | null): HTMLElement[] {
  if (!session) return [el('h4', {}, 'Session'), el('p', { class: 'soft' }, code('null'))]
  const { claims, scopes, state, startedAt, accessTokenExpiresAt } = session
  return [
    el('h4', {}, code('session.claims')),
    terms(Object.entries(claims).map(([name, value]) => [name, String(value)])),
    el('h4', {}, code('session')),
    terms([
      ['scopes', scopes.join(' ')],
      ['state', state],
      ['startedAt', clock(startedAt)],
      ['accessTokenExpiresAt', clock(accessTokenExpiresAt)],
    ]),
  ]
}

function messagesView(recording: Recording): HTMLElement[] {
  const since = recording.isComplete
    ? []
    : [el('p', { class: 'small soft' }, `Messages before ${clock(recording.since)} are not known.`)]
  return [el('h4', {}, 'Messages'), ...since, el('ul', { class: 'chips' }, ...recording.totals().map(chip))]
}

function withoutRecording(): HTMLElement[] {
  return [
    el('h4', {}, 'Messages'),
    el(
      'p',
      { class: 'soft' },
      'Earlier messages are not known. To record messages from the start, make ',
      code("import 'strongroom/inspector/record'"),
      ' the first import of your app while you develop.',
    ),
    button('Record from now on', () => startRecording(false), { class: 'record' }),
  ]
}

function chip({ direction, type, count: number }: ReturnType<Recording['totals']>[number]): HTMLElement {
  const arrow = direction === 'sent' ? '→' : '←'
  return el(
    'li',
    {},
    el('span', { 'aria-hidden': 'true' }, `${arrow} ${type} `),
    el('b', { 'aria-hidden': 'true' }, count(number)),
    el('span', { class: 'hidden' }, `${number} ${type} ${direction}`),
  )
}

/** Returns the names of cookies. If the page showed values, a search for tokens would find deleted cookies. */
function cookieNames(): string[] {
  return document.cookie
    .split('; ')
    .map((cookie) => cookie.split('=', 1)[0] ?? '')
    .filter(Boolean)
}

async function databaseNames(): Promise<string[] | null> {
  try {
    return (await indexedDB.databases()).map(({ name }) => name ?? '')
  } catch {
    return null
  }
}

/** Returns the names in a place, which a sandboxed frame may not read. */
function keysOf(read: () => string[]): HTMLElement | string {
  try {
    return names(read())
  } catch {
    return names(null)
  }
}

function names(keys: string[] | null): HTMLElement | string {
  if (!keys) return 'not readable'
  return keys.length ? el('span', {}, ...keys.map(code)) : 'empty'
}

function vaultView(shown: Shown): HTMLElement[] {
  if (!shown) return [el('p', { class: 'soft' }, 'The vault has not responded yet.')]
  if (shown instanceof Error) return refusal(shown)
  const warning = isLoopback() ? [] : [el('p', { class: 'small' }, DEPLOYED)]
  if (!shown.length) return [...warning, el('p', { class: 'soft' }, 'Nothing yet.')]
  return [...warning, ...shown.map(holding)]
}

const DEPLOYED =
  'Every script of this page can see this list, and the calls of all tabs: the vault’s configuration has inspect: true. Remove it from deployed apps.'

function refusal({ message }: Error): HTMLElement[] {
  if (message.includes('token handler')) {
    const text =
      'Pages are not told. The tokens are on the server; this browser has a sealed cookie, which no script can read.'
    return [el('p', { class: 'soft' }, text)]
  }
  if (!message.includes('inspect: true')) return [el('p', { class: 'soft' }, message)]
  return [
    el(
      'p',
      { class: 'soft' },
      'The vault does not show its side to pages. While you develop, add ',
      code('inspect: true'),
      ' to its configuration in the worker’s file, and reload.',
    ),
  ]
}

function holding({
  kind,
  since,
  expiresAt,
  generation,
  fingerprint,
  resource,
  audience,
  scope,
}: Holding): HTMLElement {
  const details = [
    `${span(Date.now() - since)} old`,
    expiresAt === null ? '' : expiresAt < Date.now() ? 'expired' : `expires ${relative(expiresAt)}`,
    generation === null ? '' : `generation ${generation}`,
  ]
  const target = [resource, audience, scope].filter((option) => option != null).join(' ')
  return el(
    'article',
    { class: 'holding', 'data-kind': kind, 'data-expired': expiresAt !== null && expiresAt < Date.now() },
    el('h4', {}, KINDS[kind] ?? kind),
    el(
      'p',
      { class: 'sealed' },
      el('span', { class: 'bars', 'aria-hidden': 'true' }),
      el('span', { class: 'hidden' }, 'Its value never leaves the vault.'),
    ),
    el('p', { class: 'small' }, details.filter(Boolean).join(' · ')),
    ...(target ? [el('p', { class: 'small soft' }, 'for ', code(target))] : []),
    ...(fingerprint ? [el('p', { class: 'small soft' }, 'fingerprint ', code(fingerprint))] : []),
  )
}
