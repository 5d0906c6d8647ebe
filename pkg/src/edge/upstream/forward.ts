/** A request on its way to an upstream, and the answer on its way back. Which header fields go along is the core's to say. */
import { Guard } from '../../../glue/strongroom_edge.js'
import { StrongroomError } from '../../page/error.js'
import { giveUp, type Instance, isSound } from '../instance.js'

/** A request for an upstream. */
export interface Forward {
  url: string
  authorization: string
  proof?: string | null
  reflection: 'refuse' | 'headers' | 'allow'
  /** Headers that are sent although the policy removes them, with spaces between their names. */
  keep: string
  /** More headers that are removed. */
  remove: string
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

/** What src/edge/proxy/headers.rs says of header fields. */
export interface Policy {
  request: { remove: string[] }
  response: { remove: string[]; challenges: string[]; set: Record<string, string> }
  own: Record<string, string>
}

/** Header fields, with their names in lower case. */
export type Fields = [name: string, value: string][]

/** The fields in `headers`; several of one name are one, except for `Set-Cookie`. */
export const fieldsOf = (headers: Headers): Fields => {
  const fields: Fields = []
  // Cheaper than its iterator, which makes an object for each step.
  headers.forEach((value, name) => fields.push([name, value]))
  return fields
}

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

  /** A browser's request's fields as they go on. */
  sentOn(headers: Headers, fields: Fields, { keep, remove }: Forward): Headers {
    const [kept, removed] = [keep.split(' '), remove.split(' ')]
    return without(
      headers,
      fields,
      (name) => (this.#request.test(name) && !kept.includes(name)) || removed.includes(name),
    )
  }

  /** An upstream's answer's fields as they go on. */
  passed(headers: Headers, fields: Fields): Headers {
    const passed = without(headers, fields, (name) => this.#response.test(name))
    const challenge = passed.get('www-authenticate')
    // With any other scheme in it a browser might ask the user for a password.
    if (challenge) {
      const isKnown = schemes(challenge).every((scheme) => this.#challenges.includes(scheme))
      // Set anew even so: several fields were read as one, and go on as one.
      if (isKnown) passed.set('www-authenticate', challenge)
      else passed.delete('www-authenticate')
    }
    for (const [name, value] of this.#set) passed.set(name, value)
    return passed
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

/** A request's field as CGI and its heirs read it, some of which tell nothing from `-` that is no letter or digit. */
const asRead = (name: string): string => name.replace(/[^a-z0-9]/g, '-')

/** Matches these names; a `*` stands for anything. As one expression, since there are dozens for each field. */
const oneOf = (names: string[]): RegExp => new RegExp(`^(?:${names.join('|').replaceAll('*', '.*')})$`)

/**
 * The fields that neither match nor are said to be for one connection (RFC 9110 7.6.1): a copy of all from which those
 * are taken, since workerd takes five times as long to make one of a list.
 */
const without = (headers: Headers, fields: Fields, isRemoved: (name: string) => boolean): Headers => {
  const copy = new Headers(headers)
  const named = headers
    .get('connection')
    ?.toLowerCase()
    .split(/[\s,]+/)
  for (const [name] of fields) if (isRemoved(asRead(name)) || named?.includes(name)) copy.delete(name)
  return copy
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
    const { method, body, signal, headers: given } = this.#request
    const headers = this.#rules.sentOn(given, this.#fields, this.#forward)
    headers.set('authorization', authorization)
    if (proof) headers.set('dpop', proof)
    if (upgrade) {
      // Whatever else a client would like to upgrade to is between it and this server.
      headers.set('upgrade', 'websocket')
      const protocols = this.#request.headers.get('sec-websocket-protocol')
      if (protocols) headers.set('sec-websocket-protocol', protocols)
    }
    const init: RequestInit & { duplex?: 'half' } = { method, headers, redirect: 'manual', signal }
    if (body) {
      Object.assign(init, { body, duplex: 'half' })
      const length = given.get('content-length')
      // Without it a platform may send chunks, which some servers refuse for uploads.
      if (length && /^\d+$/.test(length)) headers.set('content-length', length)
    }
    if (this.#passesCoded()) {
      // Bun would ask for whatever it can decode itself.
      headers.set('accept-encoding', given.get('accept-encoding') ?? 'identity')
      Object.assign(init, { decompress: false })
    }
    const response = await fetch(url, init)
    this.#response = response
    return JSON.stringify({
      status: response.status,
      challenge: response.headers.get('www-authenticate') ?? undefined,
      nonce: response.headers.get('dpop-nonce') ?? undefined,
    })
  }

  /** Returns true if a compressed body is passed on as it is: nothing in it is searched, and the platform can do so. */
  #passesCoded(): boolean {
    return this.#forward.reflection !== 'refuse' && CAN_PASS_CODED
  }

  /** The `Content-Length` of what goes on, if it is known; undefined for a body that the platform has decoded. */
  #length({ headers, body }: Response): string | undefined {
    const isDecoded = headers.has('content-encoding') && !this.#passesCoded()
    const isTold = !isDecoded && (body || this.#request.method === 'HEAD')
    return (isTold && headers.get('content-length')) || undefined
  }

  /** Only Cloudflare's `fetch` opens a socket on the way to somebody else's. */
  #cannot(): string {
    const error = { code: 'unsupported', message: 'this platform cannot pass a WebSocket on' }
    this.#response = Response.json({ error }, { status: 501 })
    return JSON.stringify({ status: 501 })
  }

  /** Lets go of an answer that does not go on. */
  drop(): void {
    this.#response?.body?.cancel().catch(() => {})
    this.#response = undefined
  }

  /** The upstream's answer, with the handler's cookies. */
  async response(cookies: string[]): Promise<Response> {
    try {
      return await this.#passed(cookies)
    } catch {
      // Whatever has happened, the cookies may be all that is left of a session.
      this.drop()
      return failed(this.#rules, cookies, 500, 'handler_crashed', 'the handler stopped on a fault of its own')
    }
  }

  async #passed(cookies: string[]): Promise<Response> {
    const response = this.#response!
    const fields = fieldsOf(response.headers)
    const headers = this.#rules.passed(response.headers, fields)
    for (const cookie of cookies) headers.append('set-cookie', cookie)
    const length = this.#length(response)
    if (length) headers.set('content-length', length)
    const coding = response.headers.get('content-encoding')
    if (coding && this.#passesCoded()) headers.set('content-encoding', coding)
    const { status, statusText } = response
    const socket = (response as { webSocket?: unknown }).webSocket
    if (socket) return new Response(null, { status, headers, webSocket: socket } as ResponseInit)
    const { reflection, authorization } = this.#forward
    // What the platform hands over goes on untouched.
    const withBody = (body: BodyInit | null) => new Response(body, { status, statusText, headers })
    const instance = this.#instance
    if (reflection === 'allow') return withBody(response.body)
    if (reflection === 'refuse' && coding && !DECODED.includes(coding)) {
      this.drop()
      return failed(
        this.#rules,
        cookies,
        502,
        'upstream_unavailable',
        'the API used a Content-Encoding that this platform does not decode, so the response cannot be searched for the token',
      )
    }
    let whole: Uint8Array<ArrayBuffer> | undefined
    try {
      if (reflection === 'refuse' && isShort(response)) whole = new Uint8Array(await response.arrayBuffer())
    } catch {
      return failed(this.#rules, cookies, 502, 'upstream_unavailable', 'the API broke off in its answer')
    }
    // From here on without a pause, so that the instance is the same.
    if (!isSound(instance)) throw new Error('the handler has stopped meanwhile')
    const guard = inCore(instance, () => Guard.for_authorization(authorization))
    if (!guard) return withBody(whole ?? response.body)
    const search = new Search(guard, instance)
    const isReflected = inCore(instance, () => guard.is_in([statusText, ...fields.flat()].join('\n')))
    if (isReflected || (whole && search.freeWith(whole) < 0)) {
      if (!whole) this.drop()
      search.end()
      return failed(
        this.#rules,
        cookies,
        502,
        'token_reflected',
        'the answer has the access token in it that its request was sent with',
      )
    }
    if (whole || !response.body || reflection === 'headers') {
      search.end()
      return withBody(whole ?? response.body)
    }
    return withBody(ofLength(searched(response.body, search), length))
  }
}

/**
 * The encodings that the platform's `fetch` decodes, one at a time: the table is in docs/edge.md. In lower case: Cloudflare's
 * does not decode `GZIP`.
 */
const DECODED: string[] = [
  'identity',
  'gzip',
  'br',
  ...('Deno' in globalThis || 'WebSocketPair' in globalThis ? [] : ['deflate']),
  ...('Bun' in globalThis ? ['zstd'] : []),
]

/**
 * True if `fetch` can leave a body compressed. Bun's does with `decompress: false`, and Cloudflare's does unless the body
 * is read. The others always decode it.
 */
const CAN_PASS_CODED: boolean = 'Bun' in globalThis || 'WebSocketPair' in globalThis

/** Gives a body a known length in the way that Cloudflare needs. Elsewhere the header is enough. */
const ofLength = (body: ReadableStream<Uint8Array>, length?: string): ReadableStream<Uint8Array> => {
  const { FixedLengthStream } = globalThis as {
    FixedLengthStream?: new (length: number) => TransformStream<Uint8Array, Uint8Array>
  }
  return length && FixedLengthStream ? body.pipeThrough(new FixedLengthStream(Number(length))) : body
}

/** Most bytes of a piece. */
const PIECE = 64 * 1024

/**
 * Whether the body is known to be no longer than a piece: it is searched as a whole, which costs less than a stream, and
 * is refused before any of it has gone on. With an encoding, of the content or for the way (RFC 9112 6.3), it may be
 * longer than it says.
 */
const isShort = ({ body, headers }: Response): boolean => {
  const length = headers.get('content-length') ?? ''
  const isEncoded = headers.has('content-encoding') || headers.has('transfer-encoding')
  return !!body && !isEncoded && /^\d+$/.test(length) && Number(length) <= PIECE
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

/** A search for the token in a body, until it ends. */
class Search {
  #guard: Guard | undefined
  readonly #instance: Instance

  constructor(guard: Guard, instance: Instance) {
    this.#guard = guard
    this.#instance = instance
  }

  /** How many bytes may go on with this piece, from the first; -1 if the token is there. */
  freeWith(piece: Uint8Array): number {
    const guard = this.#current()
    return inCore(this.#instance, () => {
      // First the place: to make room the memory may grow, and its buffer is another one then.
      const place = guard.take(piece.byteLength)
      new Uint8Array(this.#instance.memory.buffer, place, piece.byteLength).set(piece)
      return guard.count_free()
    })
  }

  /** So many bytes, from the first, which go on. */
  taken(count: number): Uint8Array {
    const guard = this.#current()
    const start = guard.bytes()
    const bytes = new Uint8Array(this.#instance.memory.buffer.slice(start, start + count))
    guard.forget(count)
    return bytes
  }

  /** What was held back, which goes on at the end. */
  rest(): Uint8Array {
    return this.taken(this.#current().bytes_length())
  }

  end(): void {
    const guard = this.#guard
    this.#guard = undefined
    // In another instance its place is somebody else's.
    if (guard && isSound(this.#instance)) guard.free()
  }

  #current(): Guard {
    if (!this.#guard || !isSound(this.#instance)) throw new Error('the handler has stopped meanwhile')
    return this.#guard
  }
}

/** Some platforms forget an answer whose client has gone away without a word to its stream. */
const forgotten: FinalizationRegistry<Search> | undefined =
  typeof FinalizationRegistry === 'undefined' ? undefined : new FinalizationRegistry((search) => search.end())

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
 * Whether streams hand 4 KiB over at a time unless they are given a place that has room for more. Cloudflare's do, which
 * alone have this method. Elsewhere pieces are as large as what has come, and such a place is only one copy more.
 */
const NEEDS_ROOM: boolean =
  typeof ReadableStreamBYOBReader !== 'undefined' && 'readAtLeast' in ReadableStreamBYOBReader.prototype

/** How much room is given where little comes at a time: an isolate may have a thousand streams that wait. */
const LITTLE = 4 * 1024

const reader = (body: ReadableStream<Uint8Array>): Reader => {
  if (!NEEDS_ROOM) return body.getReader()
  let byob: ReadableStreamBYOBReader
  try {
    byob = body.getReader({ mode: 'byob' })
  } catch {
    // Somebody has put a stream of their own in its place.
    return body.getReader()
  }
  let room = new Uint8Array(LITTLE)
  return {
    async read() {
      const { done, value } = await byob.read(room)
      if (!value) return { done }
      const size = value.buffer.byteLength
      const next = value.byteLength === size ? PIECE : value.byteLength <= LITTLE ? LITTLE : size
      // What is in it will have been searched, and copied, before the next read.
      room = next === size ? new Uint8Array(value.buffer) : new Uint8Array(next)
      return { done, value }
    },
    cancel: (why) => byob.cancel(why),
  }
}

/** A body of which nothing goes on that may be the token, before it is known that it is not. */
const searched = (body: ReadableStream<Uint8Array>, search: Search): ReadableStream<Uint8Array> => {
  const pieces = reader(body)
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        for (;;) {
          const { done, value: piece } = await pieces.read()
          if (done) {
            const rest = search.rest()
            if (rest.byteLength) controller.enqueue(rest)
            search.end()
            return controller.close()
          }
          const count = search.freeWith(piece!)
          if (count < 0) throw new StrongroomError('token_reflected', 'the answer has the access token in it')
          if (count > 0) return controller.enqueue(search.taken(count))
        }
      } catch (error) {
        search.end()
        pieces.cancel(error).catch(() => {})
        throw error
      }
    },
    cancel(why) {
      search.end()
      return pieces.cancel(why)
    },
  })
  forgotten?.register(stream, search)
  return stream
}

/** An upstream's answer is none that can go on. */
const failed = (rules: Rules, cookies: string[], status: number, code: string, message: string): Response =>
  respond(rules, {
    status,
    headers: [['x-strongroom', code]],
    cookies,
    type: 'application/json',
    body: JSON.stringify({ error: { code, message } }),
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
