/** How far a call is: what is handed over, and what has come. */
import type { Progress } from './api.js'
import type { Link, Payload } from './connection.js'

/**
 * A link that tells of the calls that are made by it.
 *
 * @throws TypeError if there is nobody to tell, as the platform says of any callback that is none.
 */
export const watched = (link: Link, onProgress: (progress: Progress) => void): Link => {
  if (typeof onProgress !== 'function') throw new TypeError('onProgress is not a function')
  return watch(link, onProgress)
}

const watch = (link: Link, onProgress: (progress: Progress) => void): Link => ({
  ...link,
  ask(asker, question, payload) {
    // What it throws is its own affair, as with the listener of an event.
    const tell = (progress: Progress) => {
      try {
        onProgress(progress)
      } catch (error) {
        reportError(error)
      }
    }
    const uploaded = watchUpload(payload, tell)
    let loaded = 0
    let total: number | null = null
    return link.ask(
      {
        ...asker,
        answer(head, headers) {
          uploaded.whole()
          total = lengthOf(headers as [string, string][])
          return asker.answer(head, headers)
        },
        piece(piece) {
          if (piece) {
            loaded += piece.length
            // What was sent compressed is longer than it says.
            if (total !== null && loaded > total) total = null
          }
          asker.piece?.(piece)
          if (piece) tell({ type: 'download', loaded, total })
        },
      },
      question,
      uploaded.payload,
    )
  },
})

/**
 * The body as it is handed over. Of a stream that is known piece by piece; of all else the platform tells no script
 * before the answer begins.
 */
const watchUpload = (payload: Payload, tell: (progress: Progress) => void) => {
  if (payload instanceof ReadableStream) {
    let loaded = 0
    const count = new TransformStream({
      transform(piece, controller) {
        loaded += piece.byteLength
        controller.enqueue(piece)
        tell({ type: 'upload', loaded, total: null })
      },
    })
    return { payload: payload.pipeThrough(count), whole() {} }
  }
  const total =
    payload instanceof Blob ? payload.size : payload instanceof ArrayBuffer ? payload.byteLength : 0
  return {
    payload,
    whole() {
      if (total) tell({ type: 'upload', loaded: total, total })
    },
  }
}

const lengthOf = (headers: [string, string][]): number | null => {
  const value = headers?.find(([name]) => name === 'content-length')?.[1]
  return value === undefined ? null : Number(value)
}
