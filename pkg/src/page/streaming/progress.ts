/** Progress of calls: bytes handed over, and bytes received. */
import type { Progress } from '../api.js'
import type { Chunk, Connection, HeadPayload, Payload } from '../connection/connection.js'

/**
 * Returns a connection that reports the progress of its calls.
 *
 * @throws TypeError if `onProgress` is not a function, as the platform does for callbacks.
 */
export const watched = (connection: Connection, onProgress: (progress: Progress) => void): Connection => {
  if (typeof onProgress !== 'function') throw new TypeError('onProgress is not a function')
  return watch(connection, onProgress)
}

const watch = (connection: Connection, onProgress: (progress: Progress) => void): Connection => ({
  ...connection,
  send(request, message, payload) {
    // An exception that `onProgress` throws is reported like an exception of an event listener, and does not affect the
    // call.
    const report = (progress: Progress) => {
      try {
        onProgress(progress)
      } catch (error) {
        reportError(error)
      }
    }
    const uploaded = watchUpload(payload, report)
    let loaded = 0
    let total: number | null = null
    /** Passes bytes on with `act`, which may detach them, and reports them. */
    const pass = <T>(bytes: Chunk | undefined, act: () => T): T => {
      const size = bytes ? bytes.length : 0
      const result = act()
      loaded += size
      // For a compressed response, Content-Length is the compressed length, and `loaded` may exceed it.
      if (total !== null && loaded > total) total = null
      if (size) report({ type: 'download', loaded, total })
      return result
    }
    return connection.send(
      {
        ...request,
        respond(head, payload) {
          uploaded.finish()
          const [headers, body] = (payload ?? [[]]) as HeadPayload
          total = lengthOf(headers)
          return pass(body, () => request.respond(head, payload))
        },
        chunk: (chunk) => pass(chunk, () => request.chunk?.(chunk)),
      },
      message,
      uploaded.payload,
    )
  },
})

/**
 * Reports the upload. A stream is reported chunk by chunk. Other bodies are reported when the response begins, since
 * browsers do not tell scripts earlier that a body was sent.
 */
const watchUpload = (payload: Payload, report: (progress: Progress) => void) => {
  if (payload instanceof ReadableStream) {
    let loaded = 0
    const count = new TransformStream({
      transform(chunk, controller) {
        loaded += chunk.byteLength
        controller.enqueue(chunk)
        report({ type: 'upload', loaded, total: null })
      },
    })
    return { payload: payload.pipeThrough(count), finish() {} }
  }
  const total =
    payload instanceof Blob ? payload.size : payload instanceof ArrayBuffer ? payload.byteLength : 0
  return {
    payload,
    finish() {
      if (total) report({ type: 'upload', loaded: total, total })
    },
  }
}

const lengthOf = (headers: [string, string][]): number | null => {
  const value = headers.find(([name]) => name === 'content-length')?.[1]
  return value === undefined ? null : Number(value)
}
