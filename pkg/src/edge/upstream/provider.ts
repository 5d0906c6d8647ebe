/**
 * Sends requests to the provider: without following redirects, with a time limit, and with a size limit of the
 * response.
 */

import { MAX_BODY } from '../../../glue/constants.js'
import type { ReplyMembers } from '../../generated/members.js'
import { afterTime } from '../lateness.js'

/** A request to the provider. */
export interface Sending {
  url: string
  form?: string | null
  authorization?: string | null
  proof?: string | null
  ms: number
}

/** Sends a request. Resolves with the response's head as one line of JSON, followed by the body. */
export const sendRequest = async ({ url, form, authorization, proof, ms }: Sending): Promise<string> => {
  // Some platforms send no User-Agent, and GitHub's API refuses requests without it.
  const headers = new Headers({ accept: 'application/json', 'user-agent': 'strongroom' })
  if (form != null) headers.set('content-type', 'application/x-www-form-urlencoded')
  if (authorization) headers.set('authorization', authorization)
  if (proof) headers.set('dpop', proof)
  const controller = new AbortController()
  const cancel = afterTime(ms, () => controller.abort(new DOMException('no response', 'TimeoutError')))
  try {
    const response = await fetch(url, {
      method: form == null ? 'GET' : 'POST',
      headers,
      body: form ?? null,
      redirect: 'manual',
      signal: controller.signal,
    })
    const date = dateOf(response.headers)
    const head = JSON.stringify({
      status: response.status,
      type: response.headers.get('content-type') ?? undefined,
      retryAfter: retryAfter(response.headers.get('retry-after'), date),
      date,
      nonce: response.headers.get('dpop-nonce') ?? undefined,
      location: response.headers.get('location') ?? undefined,
    } satisfies Record<keyof ReplyMembers['SENT'], unknown>)
    const body = await textOf(response.body, MAX_BODY)
    return body === undefined ? head : `${head}\n${body}`
  } finally {
    cancel()
  }
}

/**
 * The key with which `strongroom/edge/testing` puts its own {@link sendRequest} into a configuration. No configuration in
 * JSON can have a symbol.
 */
export const SEND = Symbol.for('strongroom.edge.send')

/** A configuration that may have its own {@link sendRequest}. */
export interface WithSend {
  [SEND]?: typeof sendRequest
}

/** The longest `Retry-After` in milliseconds that the core gets. The core reduces it further. */
const LONGEST_WAIT = 86_400_000

/**
 * Returns the provider's time: `Date` in milliseconds since the Unix epoch (RFC 9110 6.6.1), or `undefined` if the header
 * is missing or not valid, or if the response comes from a cache (RFC 9111 5.1).
 */
const dateOf = (headers: Headers): number | undefined => {
  const date = Date.parse(headers.get('date') ?? '')
  return date > 0 && !headers.has('age') ? date : undefined
}

/**
 * Returns `Retry-After` (RFC 9110 10.2.3: seconds, or a date) in milliseconds from now, or `undefined` if the header is
 * missing, not valid, or a date in the past. A date is compared with the provider's time, if that is known.
 */
const retryAfter = (header: string | null, now = Date.now()): number | undefined => {
  if (!header) return undefined
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now
  return milliseconds >= 0 ? Math.min(milliseconds, LONGEST_WAIT) : undefined
}

/** Resolves with a body as a string, or with `undefined` if the body is too long, is not UTF-8, or takes too long. */
export const textOf = async (
  body: ReadableStream<Uint8Array> | null,
  limit: number,
  milliseconds = Infinity,
): Promise<string | undefined> => {
  if (!body) return ''
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const reader = body.getReader()
  const drop = () => void reader.cancel().catch(() => {})
  const decoded = (bytes?: Uint8Array) => {
    try {
      return decoder.decode(bytes, { stream: !!bytes })
    } catch {
      return undefined
    }
  }
  let isLate = false
  const end = () => {
    isLate = true
    // Canceling the body also ends the pending read.
    drop()
  }
  const cancel = milliseconds < Infinity ? afterTime(milliseconds, end) : undefined
  try {
    let text = ''
    let length = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (isLate) return undefined
      length += value?.byteLength ?? 0
      const piece = length > limit ? undefined : decoded(value)
      if (piece === undefined) {
        drop()
        return undefined
      }
      text += piece
      if (done) return text
    }
  } finally {
    cancel?.()
  }
}
