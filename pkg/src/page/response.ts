/** The `Response` of a call, equal to `fetch`'s own in all that a page can ask of it. */
import type { Chunk, ResponseMessage } from './connection.js'

type Head = Extract<ResponseMessage, { t: 'head' }>

/** A body whose pieces come by message. */
export interface Body {
  readable: ReadableStream<Uint8Array<ArrayBuffer>>
  /** Its next chunk, or its end. */
  push(chunk: Exclude<Chunk, false>): void
  /** Breaks it off. */
  fail(reason: unknown): void
  /** Why it was broken off. */
  reason?: unknown
}

/** Pieces that the vault sends when it is asked for more: src/browser/api_call.rs. */
const BATCH = 4

/**
 * A stream for a body. The vault sends eight pieces unasked; from then on four for every `more()`, which is
 * called when the reader has taken as many: what is under way stays bounded.
 */
export const openBody = (more: () => void, cancel: () => void): Body => {
  let controller!: ReadableByteStreamController
  let consumed = 0
  const readable = new ReadableStream(
    {
      // As in fetch's own responses, where the engine has it.
      type: (globalThis.ReadableByteStreamController && 'bytes') as 'bytes',
      start(given) {
        controller = given
      },
      pull() {
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
        // A reader that waits with a buffer of its own is told of the end by this alone.
        controller.byobRequest?.respond(0)
      }
    },
    fail(reason) {
      body.reason = reason
      controller.error(reason)
    },
  }
  return body
}

const READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const

/**
 * A `Response` with what its constructor has no way to set, and whose readers reject with the reason why
 * the body broke off: Chromium's reject with a reason of their own if the stream is a script's.
 */
export const toResponse = (
  { status, statusText, url, redirected }: Head,
  headers: [string, string][],
  body?: Body,
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
      const explain = (error: unknown) => {
        throw body?.reason ?? error
      }
      if (read) set(name, () => read.call(response).catch(explain))
    }
    return response
  }
  return decorate(new Response(body?.readable, { status, statusText, headers }))
}
