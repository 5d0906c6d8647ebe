/**
 * The control of the search: puts a new fake token into each place, searches this place, and removes the token again. A
 * search that does not find these tokens would not find others.
 */
import { detect } from './detector.js'
import { readScope } from './documents.js'
import { NAME, OBJECTS, placesOf, type Place } from './places.js'
import { findRecording } from './recorder.js'
import { rootsOf } from './search.js'
import { walk } from './walker.js'

/** The result of the control in one place. */
export interface Control {
  place: string
  /** `refused`: nothing could be written there. */
  result: 'found' | 'missed' | 'refused'
  /** The error with `refused`, or if the token could not be removed. */
  error: Error | null
}

/** Returns the places, each with what its control writes. */
export function describePlants(host: HTMLElement): { place: string; writes: string }[] {
  const places = placesOf(readScope(), host, findRecording())
  return [
    { place: OBJECTS, writes: `the property ${NAME} of window` },
    ...places.map(({ name, writes }) => ({ place: name, writes })),
  ]
}

/** Tests the search in each place. */
export async function testSearch(host: HTMLElement): Promise<Control[]> {
  const controls = [await run(OBJECTS, plantObject, findObject)]
  for (const place of placesOf(readScope(), host, findRecording())) {
    const find = (token: string) => {
      const items = place.items(true)
      return items instanceof Promise ? items.then((list) => search(list, token)) : search(items, token)
    }
    controls.push(await run(place.name, (token) => place.plant(token), find))
  }
  return controls
}

/**
 * Plants a token, searches for it, and removes it. If the place is synchronous, no other code of the page runs until the
 * token is removed, apart from what the browser itself calls.
 */
async function run(
  place: string,
  plant: Place['plant'],
  find: (token: string) => Search | Promise<Search>,
): Promise<Control> {
  const token = fakeToken()
  let search: Search | undefined
  try {
    const planting = plant(token)
    const restore = planting instanceof Promise ? await planting : planting
    try {
      const finding = find(token)
      search = finding instanceof Promise ? await finding : finding
    } finally {
      const restoring = restore()
      if (restoring) await restoring
    }
    return { place, result: (await search()) ? 'found' : 'missed', error: null }
  } catch (error) {
    return { place, result: 'refused', error: error as Error }
  }
}

/** Searches values that were read. */
type Search = () => Promise<boolean>

const search =
  (items: { where: string; value: unknown }[], token: string): Search =>
  () =>
    isReachable(
      items.map(({ where, value }) => [where, value]),
      token,
    )

async function isReachable(roots: [string, unknown][], token: string): Promise<boolean> {
  let isFound = false
  const onText = (text: string) => (isFound ||= detect(text).some(({ value }) => value === token))
  await walk(roots, { limit: Infinity, onText })
  return isFound
}

function plantObject(token: string) {
  const value = { deep: new Map([['session', [{ token }]]]) }
  Object.defineProperty(window, NAME, { value, configurable: true })
  return () => void Reflect.deleteProperty(window, NAME)
}

/** Searches while the token is there, because the objects are read one after another. */
async function findObject(token: string): Promise<Search> {
  const isFound = await isReachable(rootsOf({ windows: [window], expandos: [] }), token)
  return async () => isFound
}

/** Returns a fake JWT of random bytes. Each place gets a different token, so that the search must find each of them. */
function fakeToken(): string {
  const part = (length: number) => base64url(crypto.getRandomValues(new Uint8Array(length)))
  return `${base64url(new TextEncoder().encode('{"alg":"none"}'))}.${part(48)}.${part(64)}`
}

/** Encodes bytes as RFC 4648 section 5 describes, without padding. */
function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
