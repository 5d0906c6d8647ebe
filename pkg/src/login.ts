/** Signing in: the page's part of the authorization code flow, which is to move windows about. */
import { ownPath, webUrl } from './address.js'
import type { LoginOptions } from './api.js'
import { failure } from './error.js'
import type { Link } from './port.js'
import { awaitAnswer } from './relay.js'

/** Begins a login. Resolves when it is done; in redirect mode the page is gone by then. */
export const login = (link: Link, options: LoginOptions = {}): Promise<void> =>
  new Promise((resolve, reject) => {
    const { signal, timeout = 600, mode = 'redirect', returnTo, ...parameters } = options
    const cancelled = () => failure('login_cancelled', 'the login was given up')
    if (signal?.aborted) throw cancelled()

    const life = new AbortController()
    const until = { signal: life.signal }
    const end = (error?: unknown) => {
      clearTimeout(timer)
      life.abort()
      popup?.close()
      if (error) reject(error)
      else resolve()
    }
    const giveUp = (error: unknown) => {
      link.drop(id, 'cancel')
      end(error)
    }
    const go = (url: URL) => {
      if (!popup) return location.assign(url)
      // It still shows a page of this origin, so no provider makes it look closed.
      if (popup.closed) throw cancelled()
      if (!link.shared) awaitAnswer(link, url, until, giveUp)
      popup.location.assign(url)
    }
    const id = link.ask(
      {
        answer(message) {
          if (message.t !== 'navigate') return end()
          go(webUrl(message.url))
          return true
        },
        fail: end,
      },
      { t: 'login', mode, ...parameters, returnTo: ownPath(returnTo) },
    )
    const timer = setTimeout(
      () => giveUp(failure('timeout', `nobody signed in within ${timeout} s`)),
      timeout * 1000,
    )
    signal?.addEventListener('abort', () => giveUp(cancelled()), until)

    let popup: Window | null = null
    if (mode === 'popup') {
      // In the same turn as the click, or the browser would block it.
      popup = window.open('', '_blank', 'popup,width=480,height=640')
      if (!popup) giveUp(failure('popup_blocked', 'the browser opened no window'))
      return
    }
    // Back by the browser's button, without an answer. The user may yet go forward: nothing is cancelled.
    const back = (event: PageTransitionEvent) => {
      if (!event.persisted) return
      link.drop(id)
      end(cancelled())
    }
    addEventListener('pageshow', back, until)
  })
