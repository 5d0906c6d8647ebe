/** A request on its way to an upstream, and the answer on its way back. Which header fields go along is the core's to say. */
import { Guard } from '../../glue/strongroom_edge.js'
import { StrongroomError } from '../error.js'
import { giveUp, type Instance, isSound } from './instance.js'

/** A request for an upstream. */
export interface Forward {
  url: string
  authorization: string
  proof?: string | null
  reflection: 'refuse' | 'headers' | 'allow'
  /** Whether it is the handshake of a WebSocket. */
  upgrade: boolean
}

/** An answer of the handler's own. */
export interface Responded {
  status: number
  headers: [string, string][]
  cookies: string[]
  type?: string
  body?: string
}

/** What src/edge/headers.rs says of header fields. */
export interface Policy {
  request: { remove: string[] }
  response: { remove: string[]; challenges: string[]; set: Record<string, string> }
  own: Record<string, string>
}

/** Header fields, with their names in lower case, as iterating `Headers` gives them. */
export type Fields = [name: string, value: string][]

/** The policy, made for looking up. */
export class Rules {
  readonly #request: RegExp
  readonly #response: RegExp
  readonly #challenges: string[]
  readonly #set: Fields
  readonly #own: Record<string, string>

  constructor({ request, response, own }: Policy) {
    this.#request = oneOf(request.remove)
    this.#response = oneOf([...response.remove, ...Object.keys(response.set)])
    this.#challenges = response.challenges
    this.#set = Object.entries(response.set)
    this.#own = own
  }

  /** The fields of a browser's request as they go on. */
  sentOn(fields: Fields): Headers {
    return new Headers(without(fields, this.#request))
  }

  /** The fields of an upstream's answer as they go on. */
  passed(fields: Fields): Headers {
    // With any other scheme in it a browser might ask the user for a password.
    const isKnown = (challenge: string) =>
      schemes(challenge).every((scheme) => this.#challenges.includes(scheme))
    const kept = without(fields, this.#response).filter(
      ([name, value]) => name !== 'www-authenticate' || isKnown(value),
    )
    return new Headers([...kept, ...this.#set])
  }

  /** The fields of an answer of the handler's own. */
  own(fields: Fields): Headers {
    const headers = new Headers(this.#own)
    for (const [name, value] of fields) headers.set(name, value)
    return headers
  }
}

/**
 * The authentication schemes in `WWW-Authenticate` (RFC 9110 11.6.1), in lower case: what stands at the beginning or
 * behind a comma, and is no parameter. What is in quotation marks does not count.
 */
const schemes = (field: string): string[] =>
  field
    .replace(/"(?:[^"\\]|\\.)*"?/g, '""')
    .split(',')
    .map((part) => /^\s*([\w!#$%&'*+.^`|~-]+)(?!\s*=|[\w!#$%&'*+.^`|~-])/.exec(part)?.[1]?.toLowerCase())
    .filter((scheme) => scheme !== undefined)

/** A request's field as CGI and its heirs read it, which cannot tell `_` from `-`. */
const asRead = (name: string): string => name.replaceAll('_', '-')

/** Matches these names; a `*` stands for anything. As one expression, since there are dozens for each field. */
const oneOf = (names: string[]): RegExp => new RegExp(`^(?:${names.join('|').replaceAll('*', '.*')})$`)

/** The fields that neither match nor are said to be for one connection (RFC 9110 7.6.1). */
const without = (fields: Fields, names: RegExp): Fields => {
  const connection = fields.find(([name]) => name === 'connection')?.[1]
  const named = connection?.toLowerCase().split(/[\s,]+/)
  return fields.filter(([name]) => !names.test(asRead(name)) && !named?.includes(name))
}

export class Forwarded {
  readonly #request: Request
  readonly #fields: Fields
  readonly #forward: Forward
  readonly #rules: Rules
  readonly #instance: Instance
  #response: Response | undefined

  /** @param fields Those of the request. */
  constructor(request: Request, fields: Fields, forward: Forward, rules: Rules, instance: Instance) {
    this.#request = request
    this.#fields = fields
    this.#forward = forward
    this.#rules = rules
    this.#instance = instance
  }

  /** Sends it. Gives the answer's head, in JSON. */
  async head(): Promise<string> {
    const { url, authorization, proof, upgrade } = this.#forward
    if (upgrade && !('WebSocketPair' in globalThis)) return this.#cannot()
    const { method, body, signal } = this.#request
    const headers = this.#rules.sentOn(this.#fields)
    headers.set('authorization', authorization)
    if (proof) headers.set('dpop', proof)
    if (upgrade) {
      // Whatever else a client would like to upgrade to is between it and this server.
      headers.set('upgrade', 'websocket')
      const protocols = this.#request.headers.get('sec-websocket-protocol')
      if (protocols) headers.set('sec-websocket-protocol', protocols)
    }
    const init: RequestInit & { duplex?: 'half' } = { method, headers, redirect: 'manual', signal }
    if (body) Object.assign(init, { body, duplex: 'half' })
    const response = await fetch(url, init)
    this.#response = response
    return JSON.stringify({
      status: response.status,
      challenge: response.headers.get('www-authenticate') ?? undefined,
      nonce: response.headers.get('dpop-nonce') ?? undefined,
    })
  }

  /** Only Cloudflare's `fetch` opens a socket on the way to somebody else's. */
  #cannot(): string {
    const error = { code: 'unsupported', message: 'this platform cannot pass a WebSocket on' }
    this.#response = Response.json({ error }, { status: 501 })
    return JSON.stringify({ status: 501 })
  }

  /** The upstream's answer, with the handler's cookies. */
  response(cookies: string[]): Response {
    const response = this.#response!
    const fields = [...response.headers]
    const headers = this.#rules.passed(fields)
    for (const cookie of cookies) headers.append('set-cookie', cookie)
    const { status, statusText } = response
    const socket = (response as { webSocket?: unknown }).webSocket
    if (socket) return new Response(null, { status, headers, webSocket: socket } as ResponseInit)
    const { reflection, authorization } = this.#forward
    // What the platform hands over goes on untouched.
    const asItIs = () => new Response(response.body, { status, statusText, headers })
    const instance = this.#instance
    if (reflection === 'allow' || !isSound(instance)) return asItIs()
    const guard = inCore(instance, () => Guard.for_authorization(authorization))
    if (!guard) return asItIs()
    if (inCore(instance, () => guard.is_in(fields.flat().join('\n')))) {
      response.body?.cancel().catch(() => {})
      guard.free()
      return reflected(this.#rules, cookies)
    }
    if (!response.body || reflection === 'headers') {
      guard.free()
      return asItIs()
    }
    return new Response(searched(response.body, guard, instance), { status, statusText, headers })
  }
}

/** Calls the core. What throws there has trapped: nothing in that instance is to be used any more. */
const inCore = <T>(instance: Instance, call: () => T): T => {
  try {
    return call()
  } catch (error) {
    giveUp(instance)
    throw error
  }
}

/** A search, until it is freed. */
interface Held {
  guard: Guard | undefined
  readonly instance: Instance
}

const free = (held: Held): void => {
  const { guard } = held
  held.guard = undefined
  // In another instance its place is somebody else's.
  if (guard && isSound(held.instance)) guard.free()
}

/** Some platforms forget an answer whose client has gone away without a word to its stream. */
const forgotten: FinalizationRegistry<Held> | undefined =
  typeof FinalizationRegistry === 'undefined' ? undefined : new FinalizationRegistry(free)

/** Most octets of a piece. */
const PIECE = 64 * 1024

/** What `read()` of both kinds of readers gives. */
interface Piece {
  done: boolean
  value?: Uint8Array
}

interface Reader {
  read: () => Promise<Piece>
  cancel: (why?: unknown) => Promise<void>
}

/**
 * Reads pieces that are as large as what has come. Cloudflare's streams hand 4 KiB over at a time, unless they are
 * given a place that has room for more; that of other platforms is not theirs to choose, or no stream of octets.
 */
const reader = (body: ReadableStream<Uint8Array>): Reader => {
  try {
    const byob = body.getReader({ mode: 'byob' })
    return {
      read: () => byob.read(new Uint8Array(PIECE)),
      cancel: (why) => byob.cancel(why),
    }
  } catch {
    return body.getReader()
  }
}

/** A body of which nothing goes on that may be the token, before it is known that it is not. */
const searched = (
  body: ReadableStream<Uint8Array>,
  guard: Guard,
  instance: Instance,
): ReadableStream<Uint8Array> => {
  const pieces = reader(body)
  const { memory } = instance
  const held: Held = { guard, instance }
  const taken = (count: number) => {
    const start = guard.octets()
    return new Uint8Array(memory.buffer.slice(start, start + count))
  }
  /** How many octets may go on with this piece, from the first; -1 if the token is there. */
  const countWith = (piece: Uint8Array): number => {
    // First the place: to make room the memory may grow, and its buffer is another one then.
    const place = guard.take(piece.byteLength)
    new Uint8Array(memory.buffer, place, piece.byteLength).set(piece)
    return guard.count_free()
  }
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        for (;;) {
          const { done, value: piece } = await pieces.read()
          if (!isSound(instance) || !held.guard) throw new Error('the handler has stopped meanwhile')
          if (done) {
            const rest = taken(guard.octets_length())
            if (rest.byteLength) controller.enqueue(rest)
            free(held)
            return controller.close()
          }
          const count = inCore(instance, () => countWith(piece!))
          if (count < 0) throw new StrongroomError('token_reflected', 'the answer has the access token in it')
          if (count > 0) {
            controller.enqueue(taken(count))
            return guard.forget(count)
          }
        }
      } catch (error) {
        free(held)
        pieces.cancel(error).catch(() => {})
        throw error
      }
    },
    cancel(why) {
      free(held)
      return pieces.cancel(why)
    },
  })
  forgotten?.register(stream, held)
  return stream
}

const reflected = (rules: Rules, cookies: string[]): Response =>
  respond(rules, {
    status: 502,
    headers: [['x-strongroom', 'token_reflected']],
    cookies,
    type: 'application/json',
    body: JSON.stringify({
      error: {
        code: 'token_reflected',
        message: 'the answer has the access token in it that its request was sent with',
      },
    }),
  })

/** An answer of the handler's own, which nobody stores. */
export const respond = (
  rules: Rules,
  { status, headers: fields, cookies, type, body }: Responded,
): Response => {
  const headers = rules.own(fields)
  if (type) headers.set('content-type', type)
  for (const cookie of cookies) headers.append('set-cookie', cookie)
  return new Response(body ?? null, { status, headers })
}
