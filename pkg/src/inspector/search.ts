/** Searches everything that script in this page can reach for strings that look like tokens. */
import { detect, mask, type Match } from './detector.js'
import { readScope, type Item, type Scope } from './documents.js'
import { isNative } from './native.js'
import { OBJECTS, placesOf } from './places.js'
import { findRecording, type RecordedMessage, type Recording } from './recorder.js'
import { walk, type Walk } from './walker.js'

/** A string of the page that looks like a token. */
export interface Finding {
  /** The reason why the string looks like a token. */
  shape: 'JWT' | 'known prefix' | 'long random string'
  /** The first characters of the value, and its length. */
  masked: string
  /** The first path by which the value was found. */
  where: string
  /** The name of the value if it is a part of a login that is public by design; otherwise `null`. */
  known: string | null
}

/** The result of a search in one place. */
export interface PlaceReport {
  place: string
  /** The number of values that were searched. */
  looked: number
  unit: string
  findings: Finding[]
}

/** The result of a search. */
export interface SearchReport {
  places: PlaceReport[]
  /** The strings that look like tokens, each value once, without those that are public by design. */
  tokens: Finding[]
  /** The parts that were not searched, in a few words each. */
  notSearched: string[]
  milliseconds: number
}

const OBJECT_LIMIT = 300_000

/** Searches all places. */
export async function searchPage(host: HTMLElement): Promise<SearchReport> {
  const start = performance.now()
  const recording = findRecording()
  const scope = readScope()
  const known = new Map([...publicValues(recording), ...finishedLogins(scope.windows)])
  const search = new Search(known, scope.windows)
  const notSearched = [...scope.unreachable]
  const globals = await search.objects(scope)
  if (globals.accessors) notSearched.push(accessorsOf(globals))
  if (globals.cut) notSearched.push(`more than ${OBJECT_LIMIT} objects`)
  for (const place of placesOf(scope, host, recording)) {
    try {
      await search.items(place.name, place.unit, await place.items())
    } catch (error) {
      // Such as the storage of a sandboxed frame, or a browser without one of the interfaces.
      notSearched.push(`${place.name}: ${(error as Error).name}`)
    }
  }
  if (!recording) notSearched.push('messages between page and vault, which were not recorded')
  return { ...search.report(), notSearched, milliseconds: performance.now() - start }
}

function accessorsOf({ accessors, unread }: Walk): string {
  const more = accessors > unread.length ? ', …' : ''
  return `accessors of the page, which were not run (${accessors}): ${unread.join(', ')}${more}`
}

/** The roots of a walk through all objects. */
export function rootsOf({ windows, expandos }: Pick<Scope, 'windows' | 'expandos'>): [string, unknown][] {
  const views = windows.flatMap((view, index): [string, unknown][] => {
    const name = index ? `frame ${index}` : 'window'
    // These properties of a window are accessors.
    const others = ['document', 'navigator', 'history'].map((property): [string, unknown] => {
      const get = Reflect.getOwnPropertyDescriptor(view, property)?.get
      return [`${name}.${property}`, isNative(get, property) ? get?.call(view) : undefined]
    })
    return [[name, view], ...others]
  })
  return [...views, ...expandos]
}

class Search {
  readonly #places: PlaceReport[] = []
  readonly #tokens = new Map<string, Finding>()
  readonly #known: Map<string, string>
  readonly #realms: readonly Window[]

  constructor(known: Map<string, string>, realms: readonly Window[]) {
    this.#known = known
    this.#realms = realms
  }

  async objects(scope: Scope): Promise<Walk> {
    const { findings, onText } = this.#collect()
    const found = await walk(rootsOf(scope), { limit: OBJECT_LIMIT, onText, realms: this.#realms })
    this.#places.push({ place: OBJECTS, looked: found.objects, unit: 'object', findings })
    return found
  }

  async items(place: string, unit: string, items: Item[]): Promise<void> {
    const { findings, onText } = this.#collect()
    for (const { where, value } of items) await walk([[where, value]], { onText, realms: this.#realms })
    this.#places.push({ place, looked: items.length, unit, findings })
  }

  report(): Pick<SearchReport, 'places' | 'tokens'> {
    return { places: this.#places, tokens: [...this.#tokens.values()] }
  }

  /** Returns a list of findings, each value once, and a function that adds to this list. */
  #collect() {
    const findings: Finding[] = []
    const seen = new Set<string>()
    const add = ({ shape, value }: Match, path: () => string) => {
      if (seen.has(value)) return
      seen.add(value)
      const where = path()
      const known = this.#known.get(value) ?? nameOfLogin(value, where)
      const finding = { shape, masked: mask(value), where, known }
      findings.push(finding)
      if (!known) this.#tokens.set(value, finding)
    }
    const onText = (text: string, path: () => string) => {
      for (const match of detect(text)) add(match, path)
    }
    return { findings, onText }
  }
}

const valuesOf = new WeakMap<RecordedMessage, string[]>()

/**
 * Returns the number of different tokens in the recorded messages: as a search counts them, so that the two do not
 * contradict each other. A message that the recorder has forgotten does not count.
 */
export function tokensInMessages(recording: Recording): number {
  const known = publicValues(recording)
  const tokens = new Set<string>()
  for (const message of recording.messages) {
    const values = valuesOf.get(message) ?? detect(message.text).map(({ value }) => value)
    valuesOf.set(message, values)
    for (const value of values) if (!known.has(value)) tokens.add(value)
  }
  return tokens.size
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
 * Returns the values of finished logins that browsers keep: the timeline of a page has the address by which it was
 * opened, also after the response was removed from the page's address. Script cannot write the entry of a navigation.
 */
function finishedLogins(windows: readonly Window[]): Map<string, string> {
  const known = new Map<string, string>()
  for (const view of windows) {
    const [entry] = view.performance.getEntriesByType('navigation')
    const url = entry && URL.parse(entry.name)
    if (!url?.searchParams.has('state') || !url.searchParams.has('code')) continue
    for (const [name, meaning] of Object.entries(FINISHED)) {
      const value = url.searchParams.get(name)
      // As long as the response is in the page's address, the login is not finished.
      if (value && !view.location.href.includes(value)) known.set(value, meaning)
    }
  }
  return known
}

/** The parameters of an authorization response, after the login has finished. */
const FINISHED: Record<string, string> = {
  code: 'the code of the finished login, useless now: a callback page of its own avoids even this (docs/callback-page.md)',
  state: 'the state of the finished login, useless now',
  session_state: 'the provider’s session state: in the URL by design',
}

/**
 * Returns the random values that every login puts into a URL, with their meanings. The report names these values, so
 * that they are not mistaken for tokens. The values are read from the messages `navigate` and `callback`.
 */
function publicValues(recording: Recording | undefined): Map<string, string> {
  const known = new Map<string, string>()
  for (const { type, text } of recording?.messages ?? []) {
    if (type !== 'navigate' && type !== 'callback') continue
    const url = URL.parse(/"url":("(?:[^"\\]|\\.)*")/.exec(text)?.[1]?.slice(1, -1) ?? '')
    for (const [name, meaning] of Object.entries(PUBLIC_PARAMETERS)) {
      const value = url?.searchParams.get(name)
      if (value) known.set(value, meaning)
    }
  }
  return known
}
