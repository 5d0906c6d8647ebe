/** Decides which senders may use the bridge. */
import { extensionApi, type Sender } from './chrome.js'

/**
 * Returns true if a message or port comes from one of this extension's own pages, or from its service worker. Returns
 * false for a content script, which has the extension's id too but runs in a web page; for a frame, because any web page
 * can show a page of `web_accessible_resources` in a frame; and for other extensions and web pages.
 *
 * @param sender The sender as the browser describes it: the second argument of a listener of `chrome.runtime.onMessage`,
 *   or the member `sender` of a port.
 */
export const isOwnSender = (sender: Sender | undefined): boolean => {
  const own = location.origin
  const { id, url, origin, frameId, documentId, tab } = sender ?? {}
  // Chromium gives every sender an origin, except a service worker, which has neither a document nor a tab.
  const isServiceWorker = origin === undefined && documentId === undefined && !tab
  return (
    id !== undefined &&
    id === extensionApi()?.runtime.id &&
    !!url?.startsWith(`${own}/`) &&
    (isServiceWorker || origin === own) &&
    !frameId
  )
}
