/** How far a call is: what is handed over, and what has come. */
import type { Progress } from './api.js'
import type { Connection, Payload } from './connection.js'

/**
 * A connection that tells of the calls that are made by it.
 *
 * @throws TypeError if there is nobody to report, as the platform says of any callback that is none.
 */
export const watched = (connection: Connection, onProgress: (progress: Progress) => void): Connection => {
  if (typeof onProgress !== 'function') throw new TypeError('onProgress is not a function')
  return watch(connection, onProgress)
}

const watch = (connection: Connection, onProgress: (progress: Progress) => void): Connection => ({
  ...connection,
  send(request, message, payload) {
    // What it throws is its own affair, as with the listener of an event.
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
    return connection.send(
      {
        ...request,
        respond(head, headers) {
          uploaded.finish()
          total = lengthOf(headers as [string, string][])
          return request.respond(head, headers)
        },
        chunk(chunk) {
          if (chunk) {
            loaded += chunk.length
            // What was sent compressed is longer than it says.
            if (total !== null && loaded > total) total = null
          }
          request.chunk?.(chunk)
          if (chunk) report({ type: 'download', loaded, total })
        },
      },
      message,
      uploaded.payload,
    )
  },
})

/**
 * The body as it is handed over. Of a stream that is known chunk by chunk; of all else the platform tells no script
 * before the answer begins.
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
  const value = headers?.find(([name]) => name === 'content-length')?.[1]
  return value === undefined ? null : Number(value)
}
