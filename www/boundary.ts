/** The two sides of the boundary: data that script in this page can see, and the vault's holdings. */
import type { Holding, Session, Strongroom } from 'strongroom'
import { byId, code, el, replace, terms } from './dom.js'
import { clock, count, relative, span } from './format.js'
import { messageTotals } from './recorder.js'
import { tokensInMessages } from './search.js'

const KINDS: Record<Holding['kind'], string> = {
  access_token: 'Access token',
  refresh_token: 'Refresh token',
  id_token: 'ID token',
  pending_login: 'Pending login',
}

/** Shows both sides. `holdings` is `null` with a token handler, which does not reveal its holdings to pages. */
export async function showBoundary(auth: Strongroom, holdings: Holding[] | null): Promise<void> {
  const totals = messageTotals()
  byId('message-count').textContent = count(totals.reduce((sum, { count }) => sum + count, 0))
  byId('token-count').textContent = count(tokensInMessages())
  byId('vault-title').textContent = `What the ${holdings ? 'vault' : 'server'} holds`
  replace(byId('vault-view'), ...vaultView(holdings))
  replace(byId('page-view'), ...(await pageView(auth.session, totals)))
}

async function pageView(
  session: Session | null,
  totals: ReturnType<typeof messageTotals>,
): Promise<HTMLElement[]> {
  const databases = await indexedDB.databases()
  return [
    ...sessionView(session),
    el('h3', {}, 'Messages'),
    el('ul', { class: 'chips' }, ...totals.map(chip)),
    el('h3', {}, 'Storage of this origin'),
    terms([
      ['localStorage', names(Object.keys(localStorage))],
      ['sessionStorage', names(Object.keys(sessionStorage))],
      ['Cookies', names(cookieNames())],
      ['IndexedDB', names(databases.map(({ name }) => name ?? ''))],
    ]),
  ]
}

function sessionView(session: Session | null): HTMLElement[] {
  if (!session) return [el('h3', {}, code('auth.session')), el('p', { class: 'soft' }, code('null'))]
  const { claims, scopes, state, startedAt, accessTokenExpiresAt } = session
  return [
    el('h3', {}, code('auth.session.claims')),
    terms(Object.entries(claims).map(([name, value]) => [name, String(value)])),
    el('h3', {}, code('auth.session')),
    terms([
      ['scopes', scopes.join(' ')],
      ['state', state],
      ['startedAt', clock(startedAt)],
      ['accessTokenExpiresAt', clock(accessTokenExpiresAt)],
    ]),
  ]
}

function chip({
  direction,
  type,
  count: number,
}: {
  direction: string
  type: string
  count: number
}): HTMLElement {
  const arrow = direction === 'sent' ? '→' : '←'
  const label = `${number} ${type} ${direction}`
  return el(
    'li',
    {},
    el('span', { 'aria-hidden': 'true' }, `${arrow} ${type} `),
    el('b', { 'aria-hidden': 'true' }, count(number)),
    el('span', { class: 'hidden' }, label),
  )
}

/** Returns the names of cookies. If the page showed values, a search for tokens would find deleted cookies. */
function cookieNames(): string[] {
  return document.cookie
    .split('; ')
    .map((cookie) => cookie.split('=', 1)[0] ?? '')
    .filter(Boolean)
}

function names(keys: string[]): HTMLElement | string {
  return keys.length ? el('span', {}, ...keys.map(code)) : 'empty'
}

function vaultView(holdings: Holding[] | null): HTMLElement[] {
  if (!holdings) {
    return [
      el(
        'p',
        { class: 'soft' },
        'Pages are not told. The tokens are on the server; this browser has a sealed cookie, which no script can read.',
      ),
    ]
  }
  if (!holdings.length) return [el('p', { class: 'soft' }, 'Nothing yet.')]
  return holdings.map(holding)
}

function holding({ kind, since, expiresAt, generation, fingerprint }: Holding): HTMLElement {
  const details = [
    `${span(Date.now() - since)} old`,
    expiresAt === null ? '' : expiresAt < Date.now() ? 'expired' : `expires ${relative(expiresAt)}`,
    generation === null ? '' : `generation ${generation}`,
  ]
  return el(
    'article',
    { class: 'holding', 'data-kind': kind, 'data-expired': expiresAt !== null && expiresAt < Date.now() },
    el('h3', {}, KINDS[kind] ?? kind),
    el(
      'p',
      { class: 'sealed' },
      el('span', { class: 'bars', 'aria-hidden': 'true' }),
      el('span', { class: 'hidden' }, 'Its value never leaves the vault.'),
    ),
    el('p', { class: 'small' }, details.filter(Boolean).join(' · ')),
    ...(fingerprint ? [el('p', { class: 'small soft' }, 'fingerprint ', code(fingerprint))] : []),
  )
}
