/**
 * The page of the theft: a user with two sessions, an ordinary one and a bound one, and the demo's server as a thief, who
 * uses copies of the cookies.
 */
import { connect, type Strongroom } from 'strongroom'
import { byId, code, el, onClick } from '../dom.js'
import { showTrouble } from '../error-banner.js'

/** The path to which the first login returns, so that the page begins the second one. */
const SECOND = '/?second'

/** Browsers bind no session of a page on plain http. */
const canBind = location.protocol === 'https:'

type Name = 'ordinary' | 'bound'
type Sessions = Record<Name, Strongroom>

interface Theft {
  /** The names of the copied cookies. */
  names: string[]
  /** True if the bound cookie is one of them. */
  isBound: boolean
  /** The number of the thief's calls that succeeded, for each session. */
  succeeded: Record<Name, number>
}

async function start(): Promise<void> {
  const [ordinary, bound] = await Promise.all([connect('/ordinary/auth'), connect('/bound/auth')])
  const auth = { ordinary, bound }
  Object.assign(window, { auth, callAsOwner })
  // If an earlier theft was left half-way, the clock is not the real one, and no login would succeed.
  await thief('end')
  onClick('login', () => void attempt(() => signIn(auth)))
  onClick('logout', () => void attempt(() => signOut(auth)))
  onClick('steal', () => void attempt(() => steal(auth)))
  for (const name of names()) auth[name].on('change', () => show(auth))
  if (location.search === new URL(SECOND, location.origin).search) await attempt(() => signIn(auth))
  show(auth)
}

/** The sessions of this page: on plain http, the second one could not be bound. */
function names(): Name[] {
  return canBind ? ['ordinary', 'bound'] : ['ordinary']
}

/** Signs in at each handler in turn. At the second one, the provider knows the user already. */
async function signIn(auth: Sessions): Promise<void> {
  history.replaceState(null, '', '/')
  const [next, other] = names().filter((name) => !auth[name].session)
  if (next) await auth[next].login({ mode: 'redirect', returnTo: other ? SECOND : '/' })
}

async function signOut(auth: Sessions): Promise<void> {
  await Promise.all(names().map((name) => auth[name].logout()))
  forget()
}

function show(auth: Sessions): void {
  const isSignedIn = names().every((name) => auth[name].session)
  const { claims } = auth.ordinary.session ?? {}
  document.body.dataset.state = isSignedIn ? 'signed-in' : 'signed-out'
  byId('who').textContent = isSignedIn ? `Signed in as ${claims?.name ?? claims?.sub}` : 'Signed out'
  for (const id of ['login', 'hint']) byId(id).hidden = isSignedIn
  for (const id of ['steal', 'logout']) byId(id).hidden = !isSignedIn
  part('bound', 'dl').hidden = !canBind
  if (!canBind) showUnbound('Browsers bind no session on plain http.')
}

/** Lets the thief use the cookies now and later, and shows after each step who can use the sessions. */
async function steal(auth: Sessions): Promise<void> {
  forget()
  const button = byId<HTMLButtonElement>('steal')
  button.disabled = true
  try {
    const { names: copied, isBound, succeeded } = await thief('now')
    const list = copied.sort().flatMap((name, index) => [index ? ', ' : '', code(name)])
    byId('copied').replaceChildren('Copied: ', ...list)
    for (const name of names()) say(name, 'now', succeeded[name])
    const { succeeded: later } = await thief('later')
    for (const name of names()) {
      say(name, 'later', later[name])
      const own = await callAsOwner(auth[name])
      say(name, 'own', own)
      showVerdict(name, later[name], own)
    }
    if (canBind && !isBound) showUnbound('This browser did not bind the session.')
  } finally {
    await thief('end')
    button.disabled = false
  }
}

/** Calls the API as apps do. Resolves with the number of calls that succeed. */
async function callAsOwner(auth: Strongroom): Promise<number> {
  const calls = Array.from({ length: CALLS }, () => auth.fetch(`${API}orders`))
  const results = await Promise.allSettled(calls)
  return results.filter((result) => result.status === 'fulfilled' && result.value.ok).length
}

async function thief(step: 'now' | 'later' | 'end'): Promise<Theft> {
  const response = await fetch(`/thief/${step}`, { method: 'POST' })
  if (!response.ok) throw new Error(`The demo's server responded to /thief/${step} with ${response.status}.`)
  return response.json()
}

function part(name: Name, selector: string): HTMLElement {
  return byId(name).querySelector<HTMLElement>(selector)!
}

/** Shows the result of the calls of the thief, now or later, or of the user. */
function say(name: Name, row: 'now' | 'later' | 'own', succeeded: number): void {
  const isGood = succeeded === (row === 'own' ? CALLS : 0)
  const text = `${succeeded} of ${CALLS} calls succeed`
  part(name, `[data-row=${row}]`).replaceChildren(
    el('span', { class: `pill ${isGood ? 'good' : 'bad'}` }, text),
  )
}

function showVerdict(name: Name, stolen: number, own: number): void {
  const [worse, better] = [
    'The thief uses your session, and you notice nothing.',
    'The copy is useless, and you go on.',
  ]
  const verdict = part(name, '.verdict')
  verdict.hidden = false
  verdict.className = `verdict ${stolen || own < CALLS ? 'bad' : 'good'}`
  verdict.textContent = own < CALLS ? 'You cannot go on.' : stolen ? worse : better
}

/** Says why there is no bound session, and how to see one. */
function showUnbound(why: string): void {
  const verdict = part('bound', '.verdict')
  verdict.hidden = false
  verdict.className = 'verdict wait'
  verdict.replaceChildren(
    `${why} To see it, run `,
    code('cargo xtask demo --edge --browser'),
    ', which opens a Chromium that does, or ',
    code('cargo xtask demo --edge --check'),
    ', which prints the result.',
  )
}

function forget(): void {
  byId('copied').replaceChildren()
  for (const name of names()) {
    for (const cell of byId(name).querySelectorAll('dd')) cell.textContent = '–'
    part(name, '.verdict').hidden = true
  }
}

async function attempt(action: () => Promise<unknown>): Promise<void> {
  showTrouble(null)
  try {
    await action()
  } catch (error) {
    showTrouble(error)
  }
}

start().catch((error: unknown) => {
  showTrouble(error)
  byId('who').textContent = 'Not connected'
  document.body.dataset.state = 'failed'
})
