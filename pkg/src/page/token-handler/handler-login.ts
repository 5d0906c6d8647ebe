/** Logins over a token handler: the page, or a popup, goes to the handler's login endpoint. */
import { ownPath } from '../address.js'
import type { LoginOptions, Session } from '../api.js'
import type { refuse as Refuse } from '../errors/error-text.js'
import { NO_TIME_LIMIT } from '../../protocol/message-keys.js'
import { listen } from '../listen.js'
import { isTimeLimit } from '../time-limit.js'
import { isForeignFrame, POPUP_IN_FRAME } from '../login/foreign-frame.js'
import { awaitLogin, watchPopup } from '../login/await-login.js'
import { openWindow } from '../login/popup.js'
import { type HandlerSession, POPUP_ENDED } from './handler-session.js'

/** Longest `returnTo`, because servers limit the length of an address. Its escapes may make it three times as long. */
const MAX_RETURN_TO = 2048

const NO_SESSION =
  'the login has worked, but its session has ended at once, or the browser has dropped the cookie of the session'

/** The functions of the client that a login uses. */
export interface LoginContext {
  /** The path of the handler's endpoints. */
  base: string
  state: HandlerSession
  events: EventTarget
  closed: AbortSignal
  refuse: typeof Refuse
  refuseOption: (call: string, name: string) => Promise<never>
}

/**
 * Signs the user in. In redirect mode the browser leaves the page, and the promise settles only if the page is not
 * left.
 */
export const handlerLogin = async (context: LoginContext, options: LoginOptions = {}): Promise<Session> => {
  const { base, state, refuse, refuseOption } = context
  const {
    signal,
    timeout = 600,
    mode = 'redirect',
    returnTo,
    onCode,
    detectClose,
    open,
    port,
    ...parameters
  } = options
  const { prompt, loginHint, uiLocales, acrValues, maxAge, scope, params = {}, ...unknown } = parameters
  const [unknownOption] = Object.keys(unknown)
  if (unknownOption) return refuseOption('login', unknownOption)
  if (mode === 'device' || onCode) {
    return refuse('unsupported', "login({ mode: 'device' }) needs a vault in the browser")
  }
  if (mode === 'custom' || open || port !== undefined) {
    return refuse('unsupported', "login({ mode: 'custom' }) needs a vault in the browser")
  }
  if (scope !== undefined) {
    return refuse('unsupported', "login option scope: the handler's configuration has the scope")
  }
  if (!isTimeLimit(timeout)) return refuse('message_invalid', NO_TIME_LIMIT + timeout)
  if (state.isClosed) return refuse('closed')
  if (signal?.aborted) return refuse('login_canceled')

  const isPopup = mode === 'popup'
  if (isPopup && isForeignFrame()) return refuse('unsupported', POPUP_IN_FRAME)
  // Without a session this is not awaited, because the popup must open in the task of the click.
  const current = state.session && (await state.sessionFor(options))
  if (current) return current
  const query = new URLSearchParams({
    returnTo: isPopup ? `${base}/popup` : ownPath(returnTo, undefined, MAX_RETURN_TO),
  })
  const named = {
    prompt,
    login_hint: loginHint,
    ui_locales: uiLocales,
    acr_values: acrValues,
    max_age: maxAge,
  }
  for (const [name, value] of Object.entries({ ...named, ...params })) {
    if (value !== undefined) query.append(name, String(value))
  }
  return openLogin(context, options, `${location.origin}${base}/login?${query}`)
}

/**
 * Sends the page or a popup to the login endpoint. Runs in the task of the click, because the browser would otherwise
 * block the popup.
 */
const openLogin = (
  { state, events, closed, refuse }: LoginContext,
  options: LoginOptions,
  url: string,
): Promise<Session> => {
  const startedBefore = state.session?.startedAt
  /** Returns the session if it has begun after the login. The earlier session may have ended in the meantime. */
  const newSession = () => (state.session?.startedAt !== startedBefore ? state.session : null)
  const popup = options.mode === 'popup' ? openWindow() : undefined
  return awaitLogin(options, popup, refuse, ({ end, giveUp, stops }) => {
    stops.push(listen(closed, 'abort', () => giveUp(refuse('closed'))))
    state.trace('login_started')
    if (!popup) return location.assign(url)
    const onChange = () => {
      const session = newSession()
      if (session) end(session)
    }
    const onPopupEnded = () => newSession() || giveUp(refuse('session_ended', NO_SESSION))
    stops.push(listen(events, 'change', onChange), listen(events, POPUP_ENDED, onPopupEnded))
    const hasCome = async () => {
      await state.readNews()
      return !!newSession()
    }
    if (options.detectClose) stops.push(watchPopup(popup, hasCome, () => giveUp(refuse('login_canceled'))))
    popup.location.assign(url)
  })
}
