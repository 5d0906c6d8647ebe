/** The `Response` of a call, equal to `fetch`'s own in all that a page can ask of it. */
import type { Answer, Piece } from './port.js'

type Head = Extract<Answer, { t: 'head' }>

/** A body whose pieces come by message. */
export interface Body {
  readable: ReadableStream<Uint8Array<ArrayBuffer>>
  /** Its next piece, or its end. */
  take(piece: Exclude<Piece, false>): void
  /** Breaks it off. */
  fail(reason: unknown): void
}

/**
 * A stream for a body. The vault sends two pieces unasked; from then on one for every `more()`, which
 * is called for each piece that the reader has taken: what is under way stays bounded.
 */
export const openBody = (source: { more(): void; cancel(): void }): Body => {
  let controller!: ReadableByteStreamController
  let owed = 0
  const readable = new ReadableStream(
    {
      // As in fetch's own responses, where the engine has it.
      type: (globalThis.ReadableByteStreamController && 'bytes') as 'bytes',
      start(given) {
        controller = given
      },
      pull() {
        for (; owed; owed--) source.more()
      },
      cancel: () => source.cancel(),
    },
    { highWaterMark: 1 },
  )
  return {
    readable,
    take(piece) {
      if (piece) {
        owed++
        controller.enqueue(piece)
      } else {
        controller.close()
        // A reader that waits with a buffer of its own is told of the end by this alone.
        controller.byobRequest?.respond(0)
      }
    },
    fail: (reason) => controller.error(reason),
  }
}

/** A `Response` with the head's `url` and `redirected`, which its constructor has no way to set. */
export const toResponse = (
  { status, statusText, url, redirected }: Head,
  headers: [string, string][],
  body: ReadableStream | null = null,
): Response => {
  const type = url.startsWith(location.origin + '/') ? 'basic' : 'cors'
  const dress = (response: Response): Response =>
    Object.defineProperties(response, {
      url: { value: url },
      redirected: { value: redirected },
      type: { value: type },
      clone: { value: () => dress(Response.prototype.clone.call(response)) },
    })
  return dress(new Response(body, { status, statusText, headers }))
}
