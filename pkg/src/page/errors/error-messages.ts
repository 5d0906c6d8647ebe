/**
 * The texts of errors, of warnings and of the details of trace events, and the functions that compose a text. A page
 * loads this file when it first needs one of these texts: see error-text.ts, which every page has.
 */
import { advice, texts } from '../../../glue/messages.js'
import { closest, suggest } from './suggestions.js'
import type { TraceEvent } from '../api.js'
import { DENIED_IN_FRAME, isForeignFrame } from '../login/foreign-frame.js'
import {
  A_FUNCTION,
  EXPOSED,
  LOCK_STOLEN,
  PLATFORM,
  NO_ADDRESS,
  NO_CALLBACK,
  NO_OPTION,
  NO_TIME_LIMIT,
  NO_MEDIA,
  NO_FILE,
  NO_RESUME,
  NO_RESPONSE,
  NO_STREAMS,
  NO_TOKEN,
  NOT_CONTROLLED,
  NO_WORKER,
  THREW,
  TRAPPED,
  NOT_CREATED,
  NOT_PLAIN,
  OTHER_ACCOUNT,
  UNCLAIMED,
  UNREADABLE,
  UNSUPPORTED_CONTEXT,
} from '../../protocol/message-keys.js'
import type { VaultMessage } from '../../protocol/messages.js'
import { WHY_NOT_PLAIN } from '../../protocol/plain.js'

/**
 * Messages by error code, for errors that the page or the worker creates without a message of their own. If the message
 * has a `%`, the error's value replaces it.
 */
const BY_CODE: Record<string, string> = {
  closed: 'the connection was closed',
  login_canceled: 'the login was canceled',
  page_left: 'the page was left meanwhile',
  timeout: 'nobody signed in within % s',
  vault_crashed: 'the worker of the vault has ended',
  vault_outdated: 'a user has signed in in a newer version of this app',
  wasm_blocked: 'the Content-Security-Policy forbids WebAssembly',
  wasm_missing: 'this browser runs no WebAssembly, because of Lockdown Mode (Apple), a policy or a setting',
  wasm_failed: 'the WebAssembly module could not be loaded: %',
  popup_blocked: 'the browser did not open a window',
  worker_failed: "the worker's script could not be loaded or run",
  worker_timeout: 'the worker did not respond within % s',
  origin_not_allowed: "% is not among the `apps` of the vault's frame",
}

/**
 * Messages of the page and the worker by key (message-keys.ts), for errors whose code does not determine the message, and
 * for warnings. A value may follow the message.
 */
const BY_KEY: Record<string, string> = {
  [NO_TOKEN]: "a token needs a request of mode 'cors', which this is not: ",
  [NOT_CONTROLLED]:
    'no service worker with media() of strongroom/media controls this page, or the address is not below its path',
  [NO_STREAMS]: 'this browser cannot send a stream as a body',
  get [UNSUPPORTED_CONTEXT]() {
    return typeof document === 'undefined'
      ? 'connect() needs a browser: call it on the client only, not while a server renders the page'
      : `${location.origin} is not a secure context, so the browser offers no WebCrypto here: serve the page over https, or open it as http://localhost`
  },
  [NO_CALLBACK]:
    'strongroom: the address contains the response to a login (state, and code or error), and handleCallback() was not called. Call it once when the page of redirectUri starts.',
  get [EXPOSED]() {
    return `strongroom: the server sends a page of the app at ${location.pathname}, although callbackPage: true says that the callback page is there. Often a fallback to index.html does this. Any script of this page can read the code of a login. Let the server send the callback page, which calls finishLogin(): docs/callback-page.md`
  },
  [NO_RESPONSE]:
    "no response could be read: the API cannot be reached, or its CORS headers do not allow this origin and the request's headers with Authorization, or connect-src in the policy of the worker's file does not list ",
  [NO_WORKER]:
    " is not a worker: pass the worker itself, or a function that makes it, such as () => new SharedWorker(new URL('./auth.worker.js', import.meta.url), { type: 'module' })",
  [NO_OPTION]: '() has no option ',
  [NO_TIME_LIMIT]: 'timeout is a number of seconds from 0 to 2147483, and was ',
  [NO_RESUME]:
    'resume would bring the current user of the provider into any account: keep sessions with session.persist instead',
  [OTHER_ACCOUNT]:
    "the page got the worker of another account. Pass the argument `name` of shared and dedicated on to the worker, and give the worker's file the option accounts. Accounts of worker/page: ",
  [UNCLAIMED]:
    'the address contains the response to a login, and no client of this page has taken this response. It belongs to another client, or to the account ',
  [NO_MEDIA]: 'media() and download() are for the account 0 only, because their addresses name no account',
  [NO_ADDRESS]: 'handleCallback() takes an address, and was passed an object of options or an event',
  [A_FUNCTION]:
    ' is a function: write the value that it returns, since the configuration is passed on as JSON',
  [NOT_PLAIN]: WHY_NOT_PLAIN,
  [UNREADABLE]: 'the configuration cannot be read: ',
  [TRAPPED]: 'the core trapped',
  [THREW]: "the worker's file threw: ",
  [NOT_CREATED]:
    "the browser does not create the worker, in a sandboxed frame, because of worker-src in the page's policy, or because it blocks this site's data: ",
  [NO_FILE]: 'a file of strongroom could not be loaded: ',
  [PLATFORM]:
    'the browser threw an exception: it is too old (docs/browsers.md), or a setting or a script of the page has removed what strongroom needs: ',
  [LOCK_STOLEN]:
    "script of this origin has stolen the lock by which the vault knows that this page is open (navigator.locks.request with 'steal')",
}

/** Advice by message, for messages whose error code has advice that does not fit. */
const ADVICE: Record<string, string> = {
  'vault() was called twice': 'Call it once per worker file, and reload.',
  [UNCLAIMED]:
    'Let the page of redirectUri connect each account and client: createAuth({ …, account }).connect() (docs/accounts.md).',
}

const FORBIDDEN_BY_VITE =
  " Vite's development server responds with 403 to files outside of the folders in server.fs.allow: add the package's folder."

/** The options of each call, which error messages suggest. */
const OPTIONS: Record<string, string> = {
  connect: 'account timeout resume',
  login:
    'mode open port onCode returnTo prompt loginHint uiLocales acrValues maxAge scope params signal timeout detectClose',
  logout: 'provider returnTo',
}

/** Expands the interned strings of the core (src/rules/base/messages.rs) and of the page. */
export const expandMessage = (message: string): string =>
  suggestOption(suggest(message.replace(/[\x01-\x07]./g, (coded) => texts[coded] ?? BY_KEY[coded] ?? '…')))

/** Matches a message about an unknown option of a call, from the page or the core (src/vault/message.rs). */
const UNKNOWN_OF_CALL = /^(\w+)\(\) has no (?:such )?option[^]*'([^']*)'$/

/** Adds a suggestion to a message about an unknown option. */
const suggestOption = (message: string): string =>
  message.replace(UNKNOWN_OF_CALL, (text, call: string, name: string) => {
    // These names are the first members of a browser's event and of a React event.
    if (/^(isTrusted|_reactName)$/.test(name)) return `${call}() was passed an event: write () => ${call}()`
    const meant = closest(OPTIONS[call] ?? '', name)
    return meant && meant !== name ? `${call}() has no option \`${name}\` (did you mean \`${meant}\`?)` : text
  })

/**
 * A message to the developer. `unhandled`: the URL has a response, and `handleCallback()` was not called. `exposed`: the
 * URL has a response, which only a callback page should get.
 */
export type Notice = Extract<VaultMessage, { t: 'trace' | 'warning' }> | { t: 'unhandled' } | { t: 'exposed' }

/** Prints a warning, or emits a trace event. */
export const tell = (message: Notice, emit: (type: 'trace', event: TraceEvent) => void): void => {
  if (message.t === 'unhandled') console.warn(expandMessage(NO_CALLBACK))
  else if (message.t === 'exposed') console.warn(expandMessage(EXPOSED))
  else if (message.t === 'warning') {
    console.warn(`strongroom: ${message.warning}: ${describeError(message.warning, message.message)}`)
  } else emit(message.t, { ...message, detail: message.detail && expandMessage(message.detail) })
}

/** Returns the advice for a code, which for denied storage depends on where the page is. */
const adviceFor = (code: string) =>
  code === 'storage_unavailable' && globalThis.document && isForeignFrame() ? DENIED_IN_FRAME : advice[code]

/** Returns the complete error message: what happened, and how to fix it. */
export const describeError = (code: string, message: string): string => {
  const form = BY_CODE[code] ?? ''
  const text = form.includes('%') ? form.replace('%', () => message) : expandMessage(message) || form
  const hint = code === 'wasm_failed' && message.endsWith(' 403') ? FORBIDDEN_BY_VITE : ''
  // The platform's own messages end with a period.
  return `${text.replace(/\.$/, '')}. ${ADVICE[message] ?? ADVICE[message.slice(0, 2)] ?? adviceFor(code) ?? `See docs/errors.md#${code}.`}${hint}`
}
