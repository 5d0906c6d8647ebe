/**
 * The search of an upstream's response for access tokens. The core searches a copy of each chunk. The chunk itself is
 * forwarded, except for its last bytes while they may be the beginning of a token.
 */
import { PAUSE_MS } from '../../../glue/constants.js'
import { Guard } from '../../../glue/strongroom_edge.js'
import { StrongroomError } from '../../page/errors/error.js'
import { giveUp, type Instance, isSound } from '../instance.js'
import { withoutBytes } from './malformed.js'

/** The number of bytes that the core searches at once, and the maximum size of a body that is searched as a whole. */
export const PIECE: number = 64 * 1024

const EMPTY = new Uint8Array()

const STOPPED = 'the token handler has started again while this response was searched: send the request again'

/** Calls the core. An exception is a trap: the instance must not be used again. */
const inCore = <T>(instance: Instance, call: () => T): T => {
  try {
    return call()
  } catch (error) {
    giveUp(instance)
    throw error
  }
}

/** Searches a response for access tokens. */
export class Search {
  #guard: Guard | undefined
  readonly #instance: Instance
  /** A copy of the received bytes that were not forwarded yet. */
  #held: Uint8Array = EMPTY

  private constructor(guard: Guard, instance: Instance) {
    this.#guard = guard
    this.#instance = instance
  }

  /**
   * Returns a search for the token in `authorization` and for each line of `others`, or undefined if all tokens are too
   * short to search for.
   */
  static for(instance: Instance, authorization: string, others: string): Search | undefined {
    if (!isSound(instance)) throw new Error(STOPPED)
    const guard = inCore(instance, () => Guard.for_authorization(authorization, others))
    return guard && new Search(guard, instance)
  }

  /** Returns true if a text contains a token. */
  isIn(text: string): boolean {
    const guard = this.#current()
    return inCore(this.#instance, () => guard.is_in(text))
  }

  /** Returns true if a body of at most {@link PIECE} bytes contains a token. */
  isInBody(whole: Uint8Array): boolean {
    return this.#forwardableWith(whole) < 0
  }

  /** The number of received bytes that were not forwarded yet. */
  get held(): number {
    return this.#held.byteLength
  }

  /**
   * Adds a chunk to the search. Returns the bytes that may now be forwarded, in order and without a copy of the chunk.
   *
   * @param received The chunk.
   * @param hasRoom True if the chunk's buffer has room for the {@link held} bytes before the chunk. One part is then
   *   forwarded, instead of two.
   * @throws `StrongroomError` `token_reflected`. TypeError if the chunk is not a view of bytes.
   */
  pass(received: Uint8Array, hasRoom: boolean): Uint8Array[] {
    if (!ArrayBuffer.isView(received))
      throw new TypeError('the body of the response does not consist of bytes')
    // A replaced `fetch` may deliver other views. With a view of our own, the bytes that are forwarded are those that
    // were searched.
    const chunk = new Uint8Array(received.buffer, received.byteOffset, received.byteLength)
    const held = this.#held
    let forwardable = 0
    for (let at = 0; at < chunk.byteLength; at += PIECE) {
      const count = this.#forwardableWith(chunk.subarray(at, at + PIECE))
      if (count < 0) throw new StrongroomError('token_reflected', 'the response contains an access token')
      forwardable += count
    }
    const ofChunk = forwardable - held.byteLength
    if (ofChunk <= 0) {
      // The chunk is a part of what may be a token, so it is short.
      this.#held = joined(held.subarray(forwardable), chunk)
      return [held.subarray(0, forwardable)]
    }
    // Copies the end of the chunk, because the receiver of the chunk may transfer its buffer.
    this.#held = new Uint8Array(chunk.subarray(ofChunk))
    if (!hasRoom) return [held, chunk.subarray(0, ofChunk)]
    const whole = new Uint8Array(chunk.buffer, chunk.byteOffset - held.byteLength, forwardable)
    whole.set(held)
    return [whole]
  }

  /** Returns true if there are held bytes, and all of them may be forwarded after a pause. */
  isForwardableAfterPause(): boolean {
    if (!this.held) return false
    const guard = this.#current()
    return inCore(this.#instance, () => guard.free_after_pause()) > 0
  }

  /** Returns all bytes that were not forwarded yet, for forwarding after a pause. They are still searched. */
  released(): Uint8Array {
    this.#current().release()
    return this.rest()
  }

  /** Returns all bytes that were not forwarded yet, for forwarding at the end of the body. */
  rest(): Uint8Array {
    const held = this.#held
    this.#held = EMPTY
    return held
  }

  /** Ends the search, and frees its memory in the core. */
  end(): void {
    const guard = this.#guard
    this.#guard = undefined
    // The guard is freed only in its own instance: in another instance, its address belongs to another object.
    if (guard && isSound(this.#instance)) guard.free()
  }

  /**
   * Adds bytes to the search. Returns how many of the bytes that were not forwarded yet may now be forwarded, or -1 if
   * they contain a token.
   */
  #forwardableWith(piece: Uint8Array): number {
    const guard = this.#current()
    return inCore(this.#instance, () => {
      // Reserves space in the core first, because the core's memory may grow, which replaces `memory.buffer`.
      const place = guard.take(piece.byteLength)
      new Uint8Array(this.#instance.memory.buffer, place, piece.byteLength).set(piece)
      return guard.take_free()
    })
  }

  #current(): Guard {
    if (!this.#guard || !isSound(this.#instance)) throw new Error(STOPPED)
    return this.#guard
  }
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const both = new Uint8Array(first.byteLength + second.byteLength)
  both.set(first)
  both.set(second, first.byteLength)
  return both
}

/** The result of `read()`, of a default reader or a BYOB reader. */
interface Read {
  done: boolean
  value?: Uint8Array
}

interface Reader {
  /** True if the buffer of each chunk has room for the held bytes before the chunk. */
  hasRoom: boolean
  /** Reads a chunk. `held` is the number of bytes for which a reader leaves room. */
  read: (held: number) => Promise<Read>
  cancel: (why?: unknown) => Promise<void>
}

/** The streams of Cloudflare that pass on bytes: `FixedLengthStream` has a `Content-Length`. */
const { IdentityTransformStream, FixedLengthStream } = globalThis as {
  IdentityTransformStream?: new () => TransformStream<Uint8Array, Uint8Array>
  FixedLengthStream?: new (length: number) => TransformStream<Uint8Array, Uint8Array>
}

/**
 * The size in bytes of the buffer for slow streams. The buffer is small, because an isolate may have a thousand waiting
 * streams.
 */
const SMALL_BUFFER = 4 * 1024

/**
 * The size in bytes of the buffer for fast streams. Each read and each write costs workerd some 30 µs, but a slow receiver
 * keeps the buffer occupied.
 */
const LARGE_BUFFER = 128 * 1024

const reader = (body: ReadableStream<Uint8Array>): Reader => {
  const plain = (): Reader => {
    const chunks = body.getReader()
    return { hasRoom: false, read: () => chunks.read(), cancel: (why) => chunks.cancel(why) }
  }
  // Cloudflare's streams deliver 4 KiB at a time unless the reader passes a larger buffer. On other platforms chunks are
  // as large as the received data, and a buffer costs a copy.
  if (!IdentityTransformStream) return plain()
  let byob: ReadableStreamBYOBReader
  try {
    byob = body.getReader({ mode: 'byob' })
  } catch {
    // Other code, such as a replaced `fetch`, has returned a stream that does not support a BYOB reader.
    return plain()
  }
  let [buffer, wanted] = [new ArrayBuffer(SMALL_BUFFER), SMALL_BUFFER]
  return {
    hasRoom: true,
    async read(held) {
      // The buffer can be used again, because the last chunk has been written before the next read.
      if (buffer.byteLength !== wanted || held > wanted / 2)
        buffer = new ArrayBuffer(Math.max(wanted, 2 * held))
      const room = new Uint8Array(buffer, held)
      const size = room.byteLength
      const { done, value } = await byob.read(room)
      if (!value) return { done }
      buffer = value.buffer
      if (value.byteLength === size) wanted = LARGE_BUFFER
      else if (value.byteLength <= SMALL_BUFFER) wanted = SMALL_BUFFER
      return { done, value }
    },
    cancel: (why) => byob.cancel(why),
  }
}

/**
 * Ends the search of a body that was garbage-collected: some platforms drop a response after a disconnect without
 * canceling its stream.
 */
const abandoned: FinalizationRegistry<Search> | undefined =
  typeof FinalizationRegistry === 'undefined' ? undefined : new FinalizationRegistry((search) => search.end())

/** Called with the exception of a body that is forwarded. */
export type OnFailure = (error: unknown) => void

/** A body that holds bytes back while they may be a part of a token. */
class Searched {
  readonly #reader: Reader
  readonly #search: Search
  readonly #onFailure: OnFailure
  #reading: Promise<Read> | undefined

  constructor(body: ReadableStream<Uint8Array>, search: Search, onFailure: OnFailure) {
    this.#reader = reader(body)
    this.#search = search
    this.#onFailure = onFailure
    abandoned?.register(this, search)
  }

  /** Resolves with the next bytes to forward, or with undefined at the end. After an exception the body is canceled. */
  async next(): Promise<Uint8Array[] | undefined> {
    const search = this.#search
    try {
      for (;;) {
        this.#reading ??= this.#reader.read(search.held)
        const read = await this.#withinPause(this.#reading)
        if (!read) return [search.released()]
        this.#reading = undefined
        const parts = read.done ? [search.rest()] : search.pass(read.value!, this.#reader.hasRoom)
        const given = parts.filter((part) => part.byteLength)
        if (given.length) return given
        if (read.done) {
          search.end()
          return undefined
        }
      }
    } catch (error) {
      this.#onFailure(error)
      this.cancel(error).catch(() => {})
      throw withoutBytes(error)
    }
  }

  cancel(why: unknown): Promise<void> {
    this.#search.end()
    return this.#reader.cancel(why)
  }

  /**
   * Resolves with the result of `reading`, or with undefined if that takes so long that bytes which are held back may be
   * forwarded.
   */
  #withinPause(reading: Promise<Read>): Promise<Read | undefined> {
    if (!this.#search.isForwardableAfterPause()) return reading
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(undefined), PAUSE_MS)
      reading.finally(() => clearTimeout(timer)).then(resolve, reject)
    })
  }
}

/**
 * Returns a body that holds bytes back while they may be a part of a token.
 *
 * @param length The body's length in bytes, if it is known.
 */
export const searched = (
  body: ReadableStream<Uint8Array>,
  search: Search,
  onFailure: OnFailure,
  length?: string,
): ReadableStream<Uint8Array> => {
  const source = new Searched(body, search, onFailure)
  return IdentityTransformStream ? writtenBody(source, length) : pulledBody(source)
}

/**
 * Returns a body that is passed on as it is. Reports its failure.
 *
 * @param length The body's length in bytes, if it is known.
 */
export const watched = (
  body: ReadableStream<Uint8Array>,
  onFailure: OnFailure,
  length?: string,
): ReadableStream<Uint8Array> => {
  if (IdentityTransformStream) {
    const { readable, writable } = passage(length)
    body.pipeTo(writable).catch(onFailure)
    return readable
  }
  const chunks = body.getReader()
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.read()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          onFailure(error)
          throw withoutBytes(error)
        }
      },
      cancel: (why) => chunks.cancel(why),
    },
    { highWaterMark: 0 },
  )
}

const pulledBody = (source: Searched): ReadableStream<Uint8Array> =>
  new ReadableStream({
    async pull(controller) {
      const parts = await source.next()
      if (!parts) return controller.close()
      for (const part of parts) controller.enqueue(part)
    },
    cancel: (why) => source.cancel(why),
  })

/** Returns a stream of Cloudflare that passes on bytes. */
const passage = (length?: string): TransformStream<Uint8Array, Uint8Array> =>
  length ? new FixedLengthStream!(Number(length)) : new IdentityTransformStream!()

/**
 * Returns a body for Cloudflare, which needs a special stream for a known length. Bytes that are written to such a stream
 * cost half as much as those of a stream that is implemented in JavaScript.
 */
const writtenBody = (source: Searched, length?: string): ReadableStream<Uint8Array> => {
  const { readable, writable } = passage(length)
  const writer = writable.getWriter()
  const write = async () => {
    for (let parts = await source.next(); parts; parts = await source.next()) {
      for (const part of parts) await writer.write(part)
    }
    await writer.close()
  }
  write().catch((error) => writer.abort(error).catch(() => {}))
  // The client has disconnected, or the upstream's body has another length.
  writer.closed.catch((why) => source.cancel(why).catch(() => {}))
  return readable
}
