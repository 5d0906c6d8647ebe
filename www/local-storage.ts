/**
 * The comparison: an app with the same login and the same API, which keeps its access token in localStorage, as many
 * apps do. The demo shows it in a frame. It has an origin of its own, so that the demo's search does not find its token.
 */
import { byId, code, el, onClick } from './dom.js'
import { base64url } from './format.js'
import { tokensIn, verdictOnPage } from './report.js'
import { searchPage } from './search.js'

const KEY = 'access_token'
const REDIRECT_URI = `${location.origin}/callback`

interface Login {
  state: string
  verifier: string
}

let login: Login | null = null

if (opener && location.pathname === '/callback') {
  opener.postMessage(location.search, location.origin)
  close()
} else setUp()

function setUp(): void {
  onClick('login', () => void attempt(startLogin))
  onClick('logout', () => setToken(null))
  onClick('call', () => void attempt(call))
  onClick('search', () => void attempt(search))
  addEventListener('storage', show)
  addEventListener('message', ({ source, origin, data }) => {
    if (source === parent && data === 'search' && token()) void attempt(search)
    else if (origin === location.origin && typeof data === 'string') void attempt(() => finishLogin(data))
  })
  document.body.hidden = false
  show()
  // The height is not a secret, so any page may have it.
  new ResizeObserver(() => parent.postMessage(document.body.offsetHeight, '*')).observe(document.body)
}

function token(): string | null {
  return localStorage.getItem(KEY)
}

function setToken(value: string | null): void {
  if (value) localStorage.setItem(KEY, value)
  else localStorage.removeItem(KEY)
  byId('verdict').replaceChildren()
  byId('result').replaceChildren()
  show()
}

function show(): void {
  const signedIn = Boolean(token())
  byId('login').hidden = signedIn
  byId('logout').hidden = !signedIn
  byId('hint').hidden = signedIn
  for (const id of ['search', 'call']) byId<HTMLButtonElement>(id).disabled = !signedIn
}

async function attempt(action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (error) {
    say(String(error), false)
  }
}

function say(text: string, good: boolean): void {
  byId('result').replaceChildren(el('span', { class: `pill ${good ? 'good' : 'bad'}` }, text))
}

/** Requests an authorization code with PKCE (RFC 7636), in a popup. */
async function startLogin(): Promise<void> {
  const popup = open('', 'local-storage-login', 'popup,width=480,height=720')
  if (!popup) throw new Error('The browser blocked the popup.')
  login = { state: random(), verifier: random() }
  const { authorization_endpoint } = await metadata()
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(login.verifier))
  const request = new URLSearchParams({
    response_type: 'code',
    client_id: COMPARISON_ID,
    redirect_uri: REDIRECT_URI,
    scope: 'openid orders',
    state: login.state,
    code_challenge: base64url(new Uint8Array(hash)),
    code_challenge_method: 'S256',
  })
  popup.location.href = `${authorization_endpoint}?${request}`
}

/** Exchanges the code in the authorization response for a token. */
async function finishLogin(search: string): Promise<void> {
  const response = new URLSearchParams(search)
  const begun = login
  if (!begun || response.get('state') !== begun.state) return
  login = null
  const authorizationCode = response.get('code')
  if (!authorizationCode) throw new Error(`The provider responded with ${response.get('error')}.`)
  const { token_endpoint } = await metadata()
  const exchange = await fetch(token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: COMPARISON_ID,
      redirect_uri: REDIRECT_URI,
      code: authorizationCode,
      code_verifier: begun.verifier,
    }),
  })
  const { access_token, error } = await exchange.json()
  if (!access_token) throw new Error(`The provider responded with ${error}.`)
  setToken(access_token)
}

async function metadata(): Promise<Record<'authorization_endpoint' | 'token_endpoint', string>> {
  return (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json()
}

async function call(): Promise<void> {
  const response = await fetch(`${API}orders`, { headers: { Authorization: `Bearer ${token()}` } })
  // The token has expired, or the demo was started again and has new keys.
  if (response.status === 401) setToken(null)
  say(`GET /v1/orders · ${response.status} ${response.statusText}`, response.ok)
}

async function search(): Promise<void> {
  const report = await searchPage()
  const found = tokensIn(report).map(({ masked, where }) =>
    el('p', { class: 'small' }, code(masked), ` at ${where}`),
  )
  byId('verdict').replaceChildren(verdictOnPage(report), ...found)
}

function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}
