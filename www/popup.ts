/**
 * The comparison's window at the provider. The build of the static pages replaces this file by static/popup.ts, which
 * needs no window.
 */
import { home } from './addresses.js'

/** Returns true in a window that has the provider's response. It passes the response on, and closes. */
export function isResponse(): boolean {
  if (!opener || location.pathname !== '/callback') return false
  opener.postMessage(location.search, location.origin)
  close()
  return true
}

/**
 * Opens the window, which the browser allows only during a click. Returns a function that sends the authorization request
 * in this window, and resolves with the query of the response.
 */
export function openProvider(): (request: string) => Promise<string> {
  const popup = open('', 'local-storage-login', 'popup,width=480,height=720')
  if (!popup) throw new Error('The browser blocked the popup.')
  return (request) =>
    new Promise((resolve) => {
      addEventListener('message', function listener({ origin, data }) {
        if (!home.startsWith(`${origin}/`) || typeof data !== 'string') return
        removeEventListener('message', listener)
        resolve(data)
      })
      popup.location.href = request
    })
}
