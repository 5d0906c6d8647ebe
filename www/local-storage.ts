/**
 * The comparison: an app with the same login and the same API, which keeps its access token in localStorage, as many
 * apps do. The demo shows it in a frame. It does not have the origin of the demo's page, so that the demo's search does not
 * find its token.
 */
import { api, comparison, issuer } from './addresses.js'
import { byId, code, el, onClick } from './dom.js'
import { base64url } from './format.js'
import { isResponse, openProvider } from './popup.js'
import 'strongroom/inspector'

const KEY = 'access_token'

if (!isResponse()) setUp()

function setUp(): void {
  onClick('login', () => void attempt(login))
  onClick('logout', () => setToken(null))
  onClick('call', () => void attempt(call))
  onClick('search', () => void attempt(search))
  addEventListener('storage', show)
  addEventListener('message', ({ source, data }) => {
    if (source === parent && data === 'search' && token()) void attempt(search)
  })
  document.body.hidden = false
  show()
  // The frame gets the height of its content. Until then a browser may scroll, and the heading would stay cut off.
  addEventListener('resize', () => scrollTo(0, 0))
  new ResizeObserver(tellHeight).observe(document.body)
}

/** The height is not a secret, so any page may have it. */
function tellHeight(): void {
  parent.postMessage(document.body.offsetHeight, '*')
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
  // Browsers do not observe the size of a frame outside the viewport.
  tellHeight()
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

/** Signs in with an authorization code and PKCE (RFC 7636). */
async function login(): Promise<void> {
  const respond = openProvider()
  const { authorization_endpoint } = await metadata()
  const [state, verifier] = [random(), random()]
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  const request = new URLSearchParams({
    response_type: 'code',
    client_id: comparison.clientId,
    redirect_uri: comparison.redirectUri,
    scope: 'openid orders',
    state,
    code_challenge: base64url(new Uint8Array(hash)),
    code_challenge_method: 'S256',
  })
  const response = new URLSearchParams(await respond(`${authorization_endpoint}?${request}`))
  if (response.get('state') === state) await finishLogin(response, verifier)
}

/** Exchanges the code in the authorization response for a token. */
async function finishLogin(response: URLSearchParams, verifier: string): Promise<void> {
  const authorizationCode = response.get('code')
  if (!authorizationCode) throw new Error(`The provider responded with ${response.get('error')}.`)
  const { token_endpoint } = await metadata()
  const exchange = await fetch(token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: comparison.clientId,
      redirect_uri: comparison.redirectUri,
      code: authorizationCode,
      code_verifier: verifier,
    }),
  })
  const { access_token, error } = await exchange.json()
  if (!access_token) throw new Error(`The provider responded with ${error}.`)
  setToken(access_token)
}

async function metadata(): Promise<Record<'authorization_endpoint' | 'token_endpoint', string>> {
  return (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
}

async function call(): Promise<void> {
  const response = await fetch(`${api}orders`, { headers: { Authorization: `Bearer ${token()}` } })
  // The token has expired, or the demo was started again and has new keys.
  if (response.status === 401) setToken(null)
  say(`GET /v1/orders · ${response.status} ${response.statusText}`, response.ok)
}

async function search(): Promise<void> {
  const { tokens } = await document.createElement('strongroom-inspector').search()
  const found = tokens.map(({ masked, where }) => el('p', { class: 'small' }, code(masked), ` at ${where}`))
  const verdict = tokens.length ? `${tokens.length} tokens in this page.` : 'No token in this page.'
  const shown = verdict.replace(/^1 tokens/, '1 token')
  byId('verdict').replaceChildren(
    el('p', { class: `verdict ${tokens.length ? 'bad' : 'good'}` }, shown),
    ...found,
  )
}

function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}
