/**
 * Authorization requests and codes of the static demo's provider. A code contains what the token endpoint has to know
 * about the request, because the page that issues it and the worker that redeems it share no memory. Such a code proves
 * nothing, since anyone can write one: a real provider's codes are random.
 */
import { base64url } from '../format.js'
import { clientId, comparison, home, issuer } from './addresses.js'

/** The user of the demo's provider. */
export const ACCOUNT = {
  sub: 'alice',
  name: 'Alice Liddell',
  email: 'alice@example.com',
  email_verified: true,
  preferred_username: 'alice',
  locale: 'en',
}

/** The content of an authorization code. */
export interface Grant {
  /** Makes each code another one, so that a code is redeemed once. */
  id: string
  clientId: string
  redirectUri: string
  scope: string
  challenge: string
  nonce: string | null
  sub: string
  /** Seconds since the Unix epoch. */
  at: number
}

/** Returns what is wrong with an authorization request, or `null`. */
export function flawOf(request: URLSearchParams): string | null {
  const expected = { response_type: 'code', code_challenge_method: 'S256', redirect_uri: home }
  for (const [name, value] of Object.entries(expected)) {
    if (request.get(name) !== value) return `${name} is not ${value}`
  }
  if (![clientId, comparison.clientId].includes(request.get('client_id') ?? '')) return 'client_id is unknown'
  return /^[\w-]{43}$/.test(request.get('code_challenge') ?? '') ? null : 'code_challenge is missing'
}

/** Resolves with the address to which the user returns. `sub` is `null` if the user refuses. */
export async function authorize(request: URLSearchParams, sub: string | null): Promise<string> {
  const get = (name: string) => request.get(name) ?? ''
  const grant: Grant = {
    id: random(),
    clientId: get('client_id'),
    redirectUri: get('redirect_uri'),
    scope: get('scope'),
    challenge: get('code_challenge'),
    nonce: request.get('nonce'),
    sub: sub ?? '',
    at: now(),
  }
  const response = new URL(grant.redirectUri)
  const { searchParams } = response
  if (sub) searchParams.set('code', base64url(new TextEncoder().encode(JSON.stringify(grant))))
  else searchParams.set('error', 'access_denied')
  searchParams.set('state', get('state'))
  searchParams.set('iss', issuer)
  return response.href
}

/** Returns the content of a code, or `null` if this provider did not write it. */
export function read(code: string): Grant | null {
  try {
    const bytes = Uint8Array.from(atob(code.replaceAll('-', '+').replaceAll('_', '/')), (c) =>
      c.charCodeAt(0),
    )
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return null
  }
}

export function random(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

/** Returns the time in seconds since the Unix epoch. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
