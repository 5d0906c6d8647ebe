/** The page that answers authorization requests in the static demo. A real provider has a page like this. */
import { byId, code, el, onClick } from '../dom.js'
import { ACCOUNT, authorize, flawOf } from './authorization.js'

const MEANINGS: Record<string, string> = {
  openid: 'who you are',
  profile: 'your name and language',
  email: 'your email address',
  offline_access: 'access while you are away',
  orders: 'your orders',
}

const request = new URLSearchParams(location.search)
// The demo's page has the same origin, and so `navigation.activation` would show it this address, with random strings
// of the request that its search could mistake for tokens.
history.replaceState(null, '', location.pathname)
const flaw = flawOf(request)
const answer = async (sub: string | null) => location.replace(await authorize(request, sub))

if (flaw) {
  byId('title').textContent = 'This is not a request of the demo'
  byId('lead').textContent = `The parameter ${flaw}.`
  byId('buttons').hidden = true
} else if (request.get('prompt') === 'none') {
  void answer(null)
} else {
  const scopes = (request.get('scope') ?? '').split(' ')
  byId('scopes').append(
    ...scopes.map((scope) => el('li', {}, el('span', {}, MEANINGS[scope] ?? ''), code(scope))),
  )
  byId('approve').textContent = `Continue as ${ACCOUNT.name}`
  onClick('approve', () => void answer(ACCOUNT.sub))
  onClick('deny', () => void answer(null))
}
document.body.hidden = false
