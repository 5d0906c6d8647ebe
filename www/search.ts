/** Searches everything that script in this page can reach for strings that look like tokens. */
import { detect, mask, type Match } from './detector.js'
import {
  cacheItems,
  cookieItems,
  databaseItems,
  domItems,
  historyItems,
  PLACES,
  storageItems,
  type Item,
} from './places.js'
import { messages, type RecordedMessage } from './recorder.js'
import { walk } from './walker.js'

export interface Finding {
  shape: string
  /** The whole value. It is never shown, since the next search would find it in the report. */
  value: string
  /** Enough of the value to recognize it. */
  masked: string
  /** The first path by which the value was found. */
  where: string
  /** The name of the value if it is a part of the login that is public by design. */
  known: string | null
}

export interface PlaceReport {
  place: string
  /** The number of values that were searched. */
  looked: number
  unit: string
  findings: Finding[]
}

export interface Report {
  places: PlaceReport[]
  milliseconds: number
  /** True if the page had more objects than the limit. */
  cut: boolean
}

const OBJECT_LIMIT = 300_000

/** Searches all places. */
export async function searchPage(): Promise<Report> {
  const start = performance.now()
  const known = publicValues()
  const globals = await searchObjects(PLACES.objects, { window }, known)
  const places = [globals.report]
  const others: [string, string, () => Item[] | Promise<Item[]>][] = [
    [PLACES.messages, 'message', messageItems],
    [PLACES.localStorage, 'entry', () => storageItems(localStorage)],
    [PLACES.sessionStorage, 'entry', () => storageItems(sessionStorage)],
    [PLACES.databases, 'item', databaseItems],
    [PLACES.caches, 'response', cacheItems],
    [PLACES.cookies, 'cookie', cookieItems],
    [PLACES.history, 'item', historyItems],
    [PLACES.document, 'item', domItems],
  ]
  for (const [place, unit, items] of others) {
    places.push(await searchItems(place, unit, await readable(items), known))
  }
  return { places, milliseconds: performance.now() - start, cut: globals.cut }
}

/** Resolves with no items if the browser refuses them to script, as most places to a sandboxed frame. */
async function readable(items: () => Item[] | Promise<Item[]>): Promise<Item[]> {
  try {
    return await items()
  } catch (error) {
    if ((error as Error).name === 'SecurityError') return []
    throw error
  }
}

async function searchObjects(place: string, roots: Record<string, unknown>, known: Map<string, string>) {
  const found = new Findings(known)
  const counts = await walk(roots, { limit: OBJECT_LIMIT, onText: (text, path) => found.look(text, path) })
  const report = { place, looked: counts.objects, unit: 'object', findings: found.list }
  return { report, cut: counts.cut }
}

async function searchItems(
  place: string,
  unit: string,
  items: Item[],
  known: Map<string, string>,
): Promise<PlaceReport> {
  const found = new Findings(known)
  const onText = (text: string, path: () => string) => found.look(text, path)
  for (const { where, value } of items) await walk({ [where]: value }, { limit: 10_000, onText })
  return { place, looked: items.length, unit, findings: found.list }
}

const looked = new WeakSet<RecordedMessage>()
const seenInMessages = new Set<string>()

/** Returns the number of different tokens in all messages so far. */
export function tokensInMessages(): number {
  for (const message of messages) {
    if (looked.has(message)) continue
    looked.add(message)
    for (const { value } of detect(message.text)) seenInMessages.add(value)
  }
  const known = publicValues()
  return [...seenInMessages].filter((value) => !known.has(value)).length
}

function messageItems(): Item[] {
  return messages.map(({ direction, type, text }) => ({ where: `${direction} ${type}`, value: text }))
}

/** The token-shaped strings found in one place, each value once. */
class Findings {
  readonly list: Finding[] = []
  readonly #seen = new Set<string>()
  readonly #known: Map<string, string>

  constructor(known: Map<string, string>) {
    this.#known = known
  }

  look(text: string, path: () => string): void {
    for (const match of detect(text)) this.#add(match, path)
  }

  #add({ shape, value }: Match, path: () => string): void {
    if (this.#seen.has(value)) return
    this.#seen.add(value)
    const where = path()
    const known = this.#known.get(value) ?? nameOfLogin(value, where)
    this.list.push({ shape, value, masked: mask(value), where, known })
  }
}

const PUBLIC_PARAMETERS: Record<string, string> = {
  state: 'the request’s state: in the URL by design',
  nonce: 'the request’s nonce: in the URL by design',
  code_challenge: 'the PKCE challenge: a hash, in the URL by design',
  code: 'an authorization code: used, and useless without its verifier',
}

/**
 * Returns a description if the value is the key of a stored login, and otherwise `null`. The vault stores each login's
 * sealed data under the SHA-256 hash of the login's `state`. Only these keys are recognized; the stored values are
 * searched as all others.
 */
function nameOfLogin(value: string, where: string): string | null {
  const isName = value.length === 43 && where.startsWith('keys of strongroom/logins.')
  return isName ? 'the key of a login’s record: a hash of its state' : null
}

/**
 * Returns the random values that every login puts into a URL, with their meanings. The report names these values, so
 * that they are not mistaken for tokens. The values are read from the messages `navigate` and `callback`.
 */
function publicValues(): Map<string, string> {
  const known = new Map<string, string>()
  for (const { type, text } of messages) {
    if (type !== 'navigate' && type !== 'callback') continue
    const url = URL.parse(/"url":("(?:[^"\\]|\\.)*")/.exec(text)?.[1]?.slice(1, -1) ?? '')
    for (const [name, meaning] of Object.entries(PUBLIC_PARAMETERS)) {
      const value = url?.searchParams.get(name)
      if (value) known.set(value, meaning)
    }
  }
  return known
}
