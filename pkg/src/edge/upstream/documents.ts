/**
 * The provider's documents, which the tenants of one `tenants()` share by address. Only responses as text are shared: the
 * core checks them for each tenant.
 */
import { afterTime } from '../lateness.js'
import type { Sending, sendRequest } from './provider.js'

/** The milliseconds for which a document is kept. */
const KEPT = 60_000

/** The greatest number of kept documents. */
const MOST = 64

interface Kept {
  readonly began: number
  readonly text: Promise<string>
  /** The handlers that have got this document. If one asks again, it needs a newer one. */
  readonly readers: WeakSet<object>
  hasArrived: boolean
}

/** The documents that are kept or in flight, by address. */
export class Documents {
  readonly #kept = new Map<string, Kept>()

  /**
   * Sends a request with `send`, unless it is for a document that is kept or in flight. A handler gets a kept document at
   * most once.
   */
  async send(request: Sending, reader: object, send: typeof sendRequest): Promise<string> {
    const isDocument = request.form == null && !request.authorization && !request.proof
    if (!isDocument) return send(request)
    // Only handlers with one time limit share a request: another one would fail too early for some, or too late.
    const address = `${request.ms} ${request.url}`
    let document = this.#find(address, reader)
    const isOwn = !document
    document ??= this.#begin(address, send(request))
    document.readers.add(reader)
    const wasKept = document.hasArrived
    const text = isOwn ? await document.text : await within(document.text, request.ms)
    return wasKept ? withoutTime(text) : text
  }

  #find(address: string, reader: object): Kept | undefined {
    const document = this.#kept.get(address)
    if (!document || document.readers.has(reader)) return undefined
    return performance.now() - document.began < KEPT ? document : undefined
  }

  #begin(address: string, text: Promise<string>): Kept {
    const document = { began: performance.now(), text, readers: new WeakSet(), hasArrived: false }
    this.#kept.delete(address)
    this.#kept.set(address, document)
    for (const [oldest, { began }] of this.#kept) {
      if (this.#kept.size <= MOST && document.began - began < KEPT) break
      this.#kept.delete(oldest)
    }
    const forget = () => {
      if (this.#kept.get(address) === document) this.#kept.delete(address)
    }
    text.then((text) => {
      document.hasArrived = true
      if (headOf(text).status !== 200) forget()
    }, forget)
    return document
  }
}

/**
 * Resolves with the response to the request of another tenant. A platform may cancel that request when its client
 * disconnects, and then the promise never settles.
 */
const within = (text: Promise<string>, milliseconds: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const late = () => reject(new DOMException('no response', 'TimeoutError'))
    text.finally(afterTime(milliseconds, late)).then(resolve, reject)
  })

/** Returns the first line of a response. */
const headOf = (text: string): Record<string, unknown> => JSON.parse(text.split('\n', 1)[0]!)

/** Returns a kept response without `date`: it says nothing about the provider's clock now. */
const withoutTime = (text: string): string => {
  const { date, ...head } = headOf(text)
  return JSON.stringify(head) + text.slice(text.split('\n', 1)[0]!.length)
}
