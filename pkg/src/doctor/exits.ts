/** The lines about the list of the app's pages, by which Chromium and Edge limit where script can send data (docs/exits.md). */
import { securityHeaders } from '../headers/index.js'
import { patternsOf, refusedBy } from './connection-allowlist.js'
import { type Deployment, SOME_WORKER } from './deployment.js'
import { missingPage } from './missing-page.js'
import { check, fault, type Rows, unseen, unused, type Verdict } from './report.js'
import { type Reply, seenHeader, valueOf } from './requests.js'
import { scriptsOf } from './scripts.js'

const NAME = 'Connection-Allowlist'

/** Judges whether the list lets the page begin a login and come back. */
const login = (deployment: Deployment): Verdict => {
  const { page, origin } = deployment
  const value = page.header(NAME)
  if (value === undefined)
    return unused(`without ${NAME}, script in the page can send data to other servers by navigations`)
  const requests = requestsOf(deployment)
  if (!requests)
    return unseen(
      `without a configuration (--config FILE) and the provider's metadata, it is not known what ${NAME} must admit`,
    )
  const seen = seenHeader(page, NAME)
  const refused = refusedBy(value, origin, requests).map((url) => `"${url}*"`)
  if (refused.length) return fault(`${NAME} stops the login`, seen, refused.join(' '))
  return check(
    `${NAME} admits the login`,
    !/;\s*redirects\s*=\s*allow\b/.test(value) &&
      `${NAME} stops redirects, also that of a provider at which the user is signed in`,
    seen,
    `${NAME}: ${value};redirects=allow`,
  )
}

/**
 * Returns the beginning of the authorization request that the page opens: none with a token handler, and `undefined` if it is
 * not known.
 */
const requestsOf = (deployment: Deployment): string[] | undefined => {
  const { config, metadata, origin, options, needsWorker, worker = SOME_WORKER } = deployment
  if (!needsWorker && !options.vaultFrame) return []
  if (!config || metadata?.authorization_endpoint == null) return undefined
  const { par = 'auto' } = config
  const isPushed = par === 'auto' ? metadata.pushed_authorization_request_endpoint != null : par
  const { page } = securityHeaders(
    { ...config, par: isPushed },
    { origin: options.vaultFrame?.origin ?? origin, worker, metadata, exits: {} },
  )
  const [pattern = ''] = patternsOf(page[NAME]!)
  return [pattern.replace(/\\(.)|\*/g, (_, char?: string) => char ?? '')]
}

/**
 * Returns true for a response in whose window script can send data elsewhere: it has no list, and either the page keeps a
 * reference to the window, or the response has scripts of its own.
 */
const isWayOut = (reply: Reply): boolean =>
  reply.status > 0 &&
  reply.header(NAME) === undefined &&
  (valueOf(reply, 'Cross-Origin-Opener-Policy') === 'same-origin' ||
    (/html/.test(reply.header('content-type') ?? '') && /<script/i.test(reply.body)))

/** Judges whether other responses of the origin that script can use have the list, too. */
const everywhere = async (deployment: Deployment): Promise<Verdict | undefined> => {
  const { origin, requests, page } = deployment
  if (page.header(NAME) === undefined) return undefined
  const ask = (path: string, headers = {}) => requests.send(origin + path, { headers })
  const [script] = scriptsOf(page).filter((url) => new URL(url).origin === origin)
  const replies: [string, Reply][] = [
    ['a missing file', await missingPage(deployment)],
    ['a file', await ask(script === undefined ? '/favicon.ico' : new URL(script).pathname)],
    ['an error', await ask(`/${'strongroom-doctor'.repeat(1000)}`)],
    ['JSON', await ask('/strongroom-doctor.json', { Accept: 'application/json' })],
  ]
  const lacking = replies.filter(([, reply]) => isWayOut(reply))
  return check(
    `script cannot send data from the other responses that were seen`,
    lacking.length > 0 &&
      `script can send data from a window with ${lacking.map(([what]) => what).join(', ')}`,
    lacking
      .map(
        ([what, { status, url }]) =>
          `${status} without ${NAME} for ${what}: ${new URL(url).pathname.slice(0, 60)}`,
      )
      .join('\n'),
    `let the server send the page's ${NAME} with each response, also with errors and files`,
  )
}

/** The lines about the list of the page, and about those of other responses of the origin. */
export const EXITS: Rows<Deployment> = { 'page.exits': login, 'page.exits-everywhere': everywhere }
