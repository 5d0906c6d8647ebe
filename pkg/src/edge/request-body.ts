/** The body of a request, if there is one. */

/** The part of a request that tells if it has a body, as far as the platform shows it. */
export interface Framing {
  method: string
  /** Returns the value of a header. */
  header(name: string): string | null | undefined
  /** True for HTTP/1. Absent if the platform does not show the version. */
  isHttp1?: boolean
  /** True if an HTTP/2 request has ended with its headers. */
  isEnded?: boolean
}

/**
 * Returns true if a request has a body, false if it has none, and undefined if only its first bytes can tell: without
 * `Transfer-Encoding` and `Content-Length`, an HTTP/1 request has no body (RFC 9112 6.3), but a request of a later version
 * may have one. `fetch` cannot send a body with GET or HEAD.
 */
export const hasBody = ({ method, header, isHttp1, isEnded }: Framing): boolean | undefined => {
  if (isEnded || method === 'GET' || method === 'HEAD') return false
  if (header('transfer-encoding')) return true
  const length = header('content-length')
  if (length) return Number(length) !== 0
  return isHttp1 ? false : undefined
}

/** The error for a request whose body the app has read. The log has its name as the cause. */
const READ_BEFORE = Object.assign(new TypeError(), { name: 'BodyAlreadyRead' })

/** The body of a request that may be forwarded, and forwarded again. */
export class RequestBody {
  readonly #request: Request
  #exists: boolean | undefined
  #begun: ReadableStream<Uint8Array> | undefined
  #copy: Promise<ArrayBuffer> | undefined
  /** True if the client has not sent all that was read of the body. */
  isBroken = false
  readonly #isGone: boolean

  constructor(request: Request, header: Framing['header']) {
    this.#request = request
    this.#isGone = request.bodyUsed || !!request.body?.locked
    this.#exists = request.body ? hasBody({ method: request.method, header }) : false
  }

  /** False if there is no body, as far as this is known. */
  get mayExist(): boolean {
    return this.#exists !== false
  }

  /**
   * Resolves with the body to send, or with null if the request has no body.
   *
   * @param isCopied True if the request may be sent again, so that the whole body is kept.
   */
  async take(isCopied: boolean): Promise<ArrayBuffer | ReadableStream<Uint8Array> | null> {
    const { body } = this.#request
    if (this.#isGone && this.mayExist) throw READ_BEFORE
    try {
      if (this.#exists === undefined) {
        this.#begun = await begun(body!)
        this.#exists = this.#begun !== undefined
      }
      if (!this.#exists) return null
      if (isCopied) return await (this.#copy ??= this.#request.arrayBuffer())
      return this.#begun ?? body
    } catch (error) {
      this.isBroken = true
      throw error
    }
  }
}

/** Resolves with a body whose first bytes have arrived, or with undefined if it ends without any. */
const begun = async (body: ReadableStream<Uint8Array>): Promise<ReadableStream<Uint8Array> | undefined> => {
  const reader = body.getReader()
  let first: Uint8Array | undefined
  do {
    const { done, value } = await reader.read()
    if (done) return undefined
    first = value
  } while (!first.byteLength)
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = first ? { value: first } : await reader.read()
        first = undefined
        if (done) return controller.close()
        controller.enqueue(value!)
      },
      cancel: (why) => reader.cancel(why),
    },
    { highWaterMark: 0 },
  )
}
