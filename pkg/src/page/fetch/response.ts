/** Builds the `Response` of a call. This `Response` behaves like a response of the platform's `fetch`. */
import { BATCH } from '../../../glue/constants.js'
import type { Bytes, Chunk, ResponseMessage } from '../connection/connection.js'

type Head = Extract<ResponseMessage, { t: 'head' }>

/** The body of a response. */
export interface Source {
  readable: ReadableStream<Bytes> | Bytes
  /** The error with which the body ended, if it ended with an error. */
  readonly reason?: unknown
}

/** A body whose chunks arrive by message. */
export interface Body extends Source {
  /** Adds the next chunk, or ends the body. */
  push(chunk: Exclude<Chunk, false>): void
  /** Ends the body with an error. */
  fail(reason: unknown): void
}

/**
 * Creates the stream of a body. The vault sends eight chunks without a request, and then four more for each `more()`.
 * `more()` is called each time the reader has consumed four chunks. The number of chunks in flight is therefore
 * bounded.
 */
export const openBody = (more: () => void, cancel: () => void): Body => {
  let controller!: ReadableByteStreamController
  let consumed = 0
  const readable = new ReadableStream(
    {
      // The bodies of fetch's own responses are byte streams. Not every engine lets scripts create byte streams.
      type: (globalThis.ReadableByteStreamController && 'bytes') as 'bytes',
      start(given) {
        controller = given
      },
      pull() {
        // The vault sends BATCH chunks for each call of `more()`.
        if (consumed < BATCH) return
        consumed -= BATCH
        more()
      },
      cancel,
    },
    { highWaterMark: 1 },
  )
  const body: Body = {
    readable,
    push(chunk) {
      if (chunk) {
        consumed++
        controller.enqueue(chunk)
      } else {
        controller.close()
        // A pending read of a BYOB reader completes only after this call.
        controller.byobRequest?.respond(0)
      }
    },
    fail(reason) {
      Object.assign(body, { reason })
      controller.error(reason)
    },
  }
  return body
}

/** Returns a body that came with its head. As in `fetch`, an abort also ends a body that has arrived. */
export const wholeBody = (readable: Bytes, signal: AbortSignal): Source => ({
  readable,
  get reason() {
    return signal.aborted ? signal.reason : undefined
  },
})

const READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const

/**
 * Creates a `Response` with attributes that its constructor cannot set. The response's readers reject with the error
 * that ended the body: Chromium's own readers reject with a different error for streams created by script.
 */
export const toResponse = (
  { status, statusText, url, redirected }: Head,
  headers: [string, string][],
  body?: Source,
): Response => {
  const decorate = (response: Response): Response => {
    const set = (name: string, value: unknown) => Object.defineProperty(response, name, { value })
    set('url', url)
    set('redirected', redirected)
    set('type', url.startsWith(location.origin + '/') ? 'basic' : 'cors')
    const { clone } = response
    set('clone', () => decorate(clone.call(response)))
    for (const name of READERS) {
      const read = response[name] as (() => Promise<unknown>) | undefined
      if (!read) continue
      set(name, async () => {
        try {
          const value = await read.call(response)
          if (!body?.reason) return value
        } catch (error) {
          if (!body?.reason) throw error
        }
        throw body.reason
      })
    }
    return response
  }
  return decorate(new Response(body?.readable, { status, statusText, headers }))
}
