/** The messages between the pages of an app and its service worker with `media()`: src/media/media.ts. */

/** The member `t` of all messages, and the name of the service worker's own messages. */
export const MEDIA = 'strongroom media'

/**
 * The service worker requests the response to an element's request from the page of the element. A port comes with the
 * message, and the page passes the port to the vault, which sends the response on it.
 */
export interface MediaRequest {
  t: typeof MEDIA
  id: number
  /** The path and query. */
  url: string
  headers: [string, string][]
}

/** The messages of a page to its service worker. */
export type MediaMessage =
  /** The page has got request `id`; with `error`, the request has failed. */
  | { t: typeof MEDIA; id: number; error?: string }
  /** Asks the service worker to control the page. A port comes with the message, which gets a {@link ClaimReply}. */
  | { t: typeof MEDIA; claim: true }
  /**
   * Requests an address from which the page can download a file once, within a minute. A port comes with the message,
   * which gets a {@link TicketReply} twice.
   */
  | {
      t: typeof MEDIA
      /** The path and query of the file. */
      ticket: string
      name: string
    }

/** `true` if the page is controlled, otherwise the reason why it is not. */
export type ClaimReply = true | string

/**
 * The replies to the request for a download: first the address; then `error`, which is `undefined` once the download has
 * begun.
 */
export type TicketReply = { address: string } | { error: string | undefined }
