/** Shows the signed-in user and the session's times, and handles the login and logout buttons. */
import type { EndReason, Holding, Session, Strongroom } from 'strongroom'
import { home } from './addresses.js'
import { byId, code, el, onClick, replace } from './dom.js'
import { relative } from './format.js'
import { showTrouble } from './error-banner.js'

const REASONS: Record<EndReason, string> = {
  logged_out: 'You signed out.',
  provider_ended: 'The provider ended the session.',
  expired: 'The session expired.',
  idle: 'The session ended because you were inactive for a while.',
  absolute: 'The session reached its maximum time.',
  session_expired: 'The provider wanted the session to end now.',
  storage_lost: 'The stored session is gone.',
  replaced: 'You have signed in again.',
  security: 'The session was ended because the provider responded for another user.',
  claims_changed: 'The session was ended because the provider responded for another organization.',
  refresh_expired: 'The provider’s session has expired.',
  revoked: 'The provider revoked the session.',
  reuse_detected: 'The provider ended the session because a refresh token was used twice.',
  consent_withdrawn: 'You withdrew your consent.',
  mfa_required: 'The provider requires a second factor.',
}

export function setUpSession(auth: Strongroom): void {
  onClick('login', () => void attempt(auth.login({ mode: 'redirect' })))
  onClick('login-popup', () => void attempt(auth.login({ mode: 'popup' })))
  onClick('logout', () => void attempt(auth.logout()))
  onClick('logout-provider', () => void attempt(auth.logout({ provider: true, returnTo: home })))
  onClick('second-tab', () => window.open(home, '_blank'))
}

async function attempt(action: Promise<unknown>): Promise<void> {
  showTrouble(null)
  try {
    await action
  } catch (error) {
    showTrouble(error)
  }
}

/** Shows the current session. Called each second and on each change. */
export function showSession({ session, endReason }: Strongroom, holdings: Holding[] | null): void {
  document.body.dataset.state = session ? 'signed-in' : 'signed-out'
  byId('signed-in').hidden = !session
  byId('calls-hint').hidden = Boolean(session)
  for (const button of byId('calls').querySelectorAll('button')) button.disabled = !session
  byId('signed-out').hidden = Boolean(session)
  byId('facts').hidden = !session
  byId('who').textContent = session ? `Signed in as ${nameOf(session)}` : 'Signed out'
  byId('hello').textContent = session ? `Hello, ${nameOf(session)}.` : 'Tokens never enter the page.'
  if (!session) {
    byId('ring').setAttribute('aria-label', 'The vault has no access token')
    byId('ring').dataset.spent = 'false'
    if (endReason)
      byId('lead').textContent =
        `${REASONS[endReason]} Nothing of it remains in this page, because the tokens were never here.`
    return
  }
  showRing(session, holdings)
  replace(byId('facts'), ...facts(session, holdings))
}

function nameOf({ claims }: Session): string {
  return String(claims.name ?? claims.sub)
}

function facts(session: Session, holdings: Holding[] | null): HTMLElement[] {
  const generation = holdings?.find(({ kind }) => kind === 'refresh_token')?.generation
  const rows: [string, HTMLElement | string][] = [
    ['Refresh token', !holdings ? 'on the server' : generation == null ? 'none' : `generation ${generation}`],
    ['Session ends', relative(session.expiresAt)],
    ['Idle limit', relative(session.idleExpiresAt)],
    ['Scopes', el('span', { class: 'scopes' }, ...session.scopes.map(code))],
  ]
  return rows.map(([term, value]) => el('div', {}, el('dt', {}, term), el('dd', {}, value)))
}

/** Shows the access token's remaining lifetime as a ring that empties. */
function showRing(session: Session, holdings: Holding[] | null): void {
  const now = Date.now()
  const end = session.accessTokenExpiresAt
  const start = holdings?.find(({ kind }) => kind === 'access_token')?.since ?? end - 10_000
  const left = Math.max(0, end - now)
  const share = Math.min(1, left / Math.max(1, end - start))
  const seconds = Math.ceil(left / 1000)
  byId('arc').setAttribute('stroke-dasharray', `${(share * 100).toFixed(1)} 100`)
  byId('ring').dataset.spent = String(left === 0)
  byId('seconds').textContent = left ? String(seconds) : 'expired'
  byId('ring-note').textContent = left
    ? seconds === 1
      ? 'second left'
      : 'seconds left'
    : 'refreshed by the next call'
  byId('ring').setAttribute(
    'aria-label',
    left ? `The access token is valid for ${seconds} seconds` : 'The access token has expired',
  )
  const keeper = holdings ? 'vault' : 'server'
  byId('lead').textContent = left
    ? `The ${keeper} has an access token that this page can use but not read. Call the API, or wait for it to expire.`
    : `The access token has expired. The next call waits while the ${keeper} uses the refresh token, once.`
}
