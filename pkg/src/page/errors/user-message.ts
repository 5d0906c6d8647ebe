/**
 * Sentences for the users of an app. An error's own message is for developers.
 *
 * @module
 */
import type { Code } from '../../generated/codes.js'

/** Sentences by code. `other` is for all errors without a sentence of their own. */
export type UserMessages = Readonly<Partial<Record<Code | 'other', string>>>

const SIGN_IN_AGAIN = 'This sign-in is no longer valid. Please sign in again.'
const TOO_LONG = 'The sign-in took too long. Please try again.'
const SIGNED_OUT = 'You have been signed out. Please sign in again.'
const CONTINUE = 'Please sign in again to continue.'
const UNREACHABLE = 'The sign-in service cannot be reached. Please try again later.'
const RELOAD = 'Please reload this page.'

/** The sentences of {@link userMessage} in English. A table with translations has the same keys. */
export const USER_MESSAGES = {
  login_required: SIGNED_OUT,
  session_ended: SIGNED_OUT,
  session_replayed: SIGNED_OUT,
  bound_cookie_missing: SIGNED_OUT,
  renewal_failed: 'Your sign-in could not be confirmed. Please try again in a few minutes.',
  interaction_required: CONTINUE,
  step_up_required: CONTINUE,
  sign_in_not_repeated: CONTINUE,
  insufficient_scope: 'You need another permission for this.',
  login_denied: 'You were not signed in, because access was refused.',
  account_in_use: 'You were not signed in, because another user is signed in here.',
  login_canceled: 'The sign-in was canceled.',
  login_expired: TOO_LONG,
  timeout: TOO_LONG,
  login_unknown: SIGN_IN_AGAIN,
  login_replayed: SIGN_IN_AGAIN,
  callback_invalid: SIGN_IN_AGAIN,
  code_rejected: SIGN_IN_AGAIN,
  id_token_invalid:
    'You could not be signed in. Please check the date and time of this device, and try again.',
  unsupported: 'Your browser cannot do this. Please try another browser.',
  wasm_missing:
    'Your browser has turned off WebAssembly, which signing in needs. If Lockdown Mode is on, please exclude this site from it. Otherwise, please try another browser or device.',
  popup_blocked: 'Your browser blocked the sign-in window. Please allow it and try again.',
  storage_unavailable: 'Your browser does not let this site store data. Please allow it and try again.',
  provider_unavailable: UNREACHABLE,
  handler_unreachable: UNREACHABLE,
  coordinator_unavailable: UNREACHABLE,
  upstream_unavailable: 'The service cannot be reached. Please try again later.',
  download_failed: 'The file could not be downloaded. Please try again later.',
  page_left: 'The request was interrupted. Please check its result before you try again.',
  vault_crashed: RELOAD,
  vault_outdated: RELOAD,
  worker_timeout: RELOAD,
  frame_timeout: RELOAD,
  shell_served: RELOAD,
  limit_exceeded: 'This is too much at once. Please try again later, or with less.',
  other: 'Something went wrong. Please try again later.',
} satisfies UserMessages

/** The texts with which browsers reject `fetch` if the network fails. */
const NETWORK = /^(failed to fetch|network ?error|load failed)/i

/**
 * Returns a sentence about `error` that an app can show to its users. The sentence depends only on the error's code. A
 * network failure of a call has the sentence of `upstream_unavailable`. Returns an empty string for `null` and
 * `undefined`, so that an app may pass `auth.state.error`.
 *
 * @param table Sentences by code, such as translations. Codes that it lacks have the English sentence.
 */
export const userMessage = (error: unknown, table: UserMessages = {}): string => {
  if (error === null || error === undefined) return ''
  const { code, message } = error as { code?: unknown; message?: unknown }
  const isNetwork = error instanceof TypeError && NETWORK.test(`${message}`)
  const key = isNetwork ? 'upstream_unavailable' : `${code}`
  // A newer worker may report a code with any name, also one that every object inherits.
  const sentences = { __proto__: null, ...USER_MESSAGES, ...table } as UserMessages
  return sentences[key as Code] ?? sentences.other ?? USER_MESSAGES.other
}
