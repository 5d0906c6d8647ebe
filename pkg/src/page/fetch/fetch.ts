/** Requests of `auth.fetch`, which the vault sends. src/page/fetch/response.ts builds the response. */
import type { CallEvent, VaultRequestInit } from '../api.js'
import { listen } from '../listen.js'
import { load } from '../load.js'
import type { Connection, HeadPayload, Payload, PendingRequest } from '../connection/connection.js'
import { ownOf } from '../../protocol/own.js'
import { NO_RESPONSE, NO_STREAMS, NO_TOKEN } from '../../protocol/message-keys.js'
import { type Body, openBody, toResponse, wholeBody } from './response.js'
import { refuse, expandMessage } from '../errors/error-text.js'

/** The options of a request of an app or of this package. The types of an app do not have `awaited`. */
export interface SentInit extends VaultRequestInit {
  awaited?: true
}

/**
 * Sends a request through the vault. The platform's own `Request` parses the arguments, so that they have the same
 * meaning and the same errors as in `fetch`.
 */
export const vaultFetch = async (
  connection: Connection,
  input: RequestInfo | URL,
  init: SentInit | undefined,
  report: (call: CallEvent) => void,
): Promise<Response> => {
  const began = performance.now()
  const request = new Request(input, init)
  const { background, awaited } = ownOf(init)
  const { signal, url, method, mode, cache, credentials, integrity, keepalive } = request
  if (signal.aborted) throw signal.reason
  if (mode !== 'cors') return refuse('unsupported', NO_TOKEN + mode)
  const body = await readBody(request, init?.body)
  if (signal.aborted) throw signal.reason

  return new Promise((resolve, reject) => {
    let stream: Body | undefined
    let isReported = false
    const tell = (status: number) => {
      if (!isReported)
        report({ url: url.split(/[?#]/)[0]!, method, status, duration: performance.now() - began })
      isReported = true
    }
    const fail = (reason: unknown) => {
      finish()
      reject(reason)
      tell(0)
      stream?.fail(reason)
    }
    const cancel = () => {
      finish()
      connection.drop(id, 'abort')
    }
    const pending: PendingRequest = {
      respond(head, payload) {
        if (head.t !== 'head') return void unreachable(url).then(fail)
        const [headers, whole] = payload as HeadPayload
        if (head.body && !whole) stream = openBody(() => connection.more(id), cancel)
        else finish()
        tell(head.status)
        resolve(toResponse(head, headers, whole ? wholeBody(whole, signal) : stream))
        return stream
      },
      fail,
      chunk(chunk) {
        if (chunk === false) return fail(new TypeError('network error'))
        if (!chunk) finish()
        stream?.push(chunk)
      },
    }
    const id = connection.send(
      pending,
      {
        t: 'fetch',
        url,
        method,
        headers: [...request.headers],
        background,
        awaited,
        cache,
        credentials,
        integrity,
        keepalive,
        priority: init?.priority,
      },
      body,
    )
    const finish = listen(signal, 'abort', () => {
      cancel()
      fail(signal.reason)
    })
  })
}

/**
 * Creates the error with which `fetch` rejects. The error's `cause` lists possible reasons, because the browser writes
 * the actual reason only to the worker's console.
 */
const unreachable = async (url: string) =>
  new TypeError('Failed to fetch', {
    cause: Error(await expandMessage(NO_RESPONSE + new URL(url).origin)),
  })

/**
 * Returns the body for the vault.
 *
 * Files and forms become a `Blob`, which browsers pass by reference. Other bodies become bytes, which are faster to
 * pass than a blob. A stream is passed as it is, and can be sent only once.
 */
const readBody = async (request: Request, body: BodyInit | null | undefined): Promise<Payload> => {
  if (body instanceof ReadableStream) {
    // Engines without streamed uploads would send the string '[object ReadableStream]'.
    if ('duplex' in request) return body
    return refuse('unsupported', NO_STREAMS)
  }
  // Not every engine has Request.body. In an engine without `Request.body`, every request except GET and HEAD is
  // treated as a request with a body.
  if (request.body === null || /^(GET|HEAD)$/.test(request.method)) return
  if (!(body instanceof Blob || body instanceof FormData)) return request.arrayBuffer()
  return request.blob().catch(async (error) => {
    if (body instanceof Blob) throw error
    return (await load(() => import('./form.js'), 'formBlob')).formBlob(
      body,
      request.headers.get('content-type')!,
    )
  })
}
