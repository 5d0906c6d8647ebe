/** The lines about a token handler. */
import { cookieSize } from './cookie-size.js'
import { type Deployment, handlerBase, isHandlerNamed, option } from './deployment.js'
import { checkLogin, passOn, seenError, UNCHANGED } from './handler-login.js'
import { frames } from './frames.js'
import { check, fault, ok, unseen, unused, type Verdict } from './report.js'
import { ageOf, codeOf, jsonOf, type Reply, seenHeader, seenOf } from './requests.js'
import { isSamePage } from './scripts.js'

/** The headers of a request by script of the app's own pages that is not for the handler, such as a vault's. */
export const unmarked = (origin: string) => ({
  Origin: origin,
  'Sec-Fetch-Site': 'same-origin',
  'Sec-Fetch-Mode': 'cors',
  'Sec-Fetch-Dest': 'empty',
})

/** The headers of a request by script of the app's own pages. */
export const script = (origin: string) => ({ 'X-Strongroom': '1', ...unmarked(origin) })

/** Checks the token handler. Resolves with false if no handler responds. */
export const checkHandler = async (whole: Deployment): Promise<boolean> => {
  // The lines name the handler's own client and options, and not those of a vault.
  const { config, ...deployment } = whole
  const { report, requests, origin } = deployment
  const base = handlerBase(deployment)
  const reply = await requests.send(`${origin}${base}/config`, { headers: script(origin) })
  const answer = jsonOf(reply)
  if (!isHandler(reply, answer)) {
    report.add('handler.found', notFound(deployment, base, reply))
    return false
  }
  const { base: own } = answer!
  const routes = (whole.routes = routesOf(answer!['routes']))
  if (config && !deployment.options.vaultFrame && !isHandlerNamed(whole))
    report.unused(
      'handler.fallback',
      `if this handler is the vault's fallback (createAuth({ fallback: '${base}' })), add --handler ${base} to compare both`,
    )
  report.check(
    'handler.found',
    `there is a token handler at ${base}`,
    typeof own === 'string' && own !== base && 'something in front of the handler changes the path',
    `the handler's base is ${own}, and it responds at ${base}`,
    option(deployment, 'base', base),
  )
  await checkHealth(deployment, base)
  const refusal = await refusals(deployment, base)
  report.add('handler.csrf', refusal)
  const provider = (whole.provider = await checkLogin(deployment, base, refusal.result !== 'fault'))
  await checkLengths(deployment, base)
  report.add('handler.bind', await binding(deployment, base))
  await checkRoutes(deployment, routes, config?.apis)
  // With page.opener, this keeps script from reading the response to a login that an attacker began.
  report.add('handler.frames', frames(deployment, [origin, ...provider]))
  return true
}

/** Judges a response that is not the handler's. */
const notFound = (deployment: Deployment, base: string, reply: Reply): Verdict => {
  const { options, worker, page } = deployment
  const seen = `${seenOf(reply)} for ${base}/config`
  if (reply.status >= 500) {
    const fix = "look at the server's log: a token handler says which option it cannot use"
    return fault(`the server fails at ${base}`, seen, fix)
  }
  const none = `there is no token handler at ${base}`
  if (isHandlerNamed(deployment)) return fault(none, seen, passOn(`${base}/`))
  const isPage = reply.status === 200 && /html/.test(reply.header('content-type') ?? '')
  if (!isPage || worker !== undefined || options.vaultFrame) return unused(none)
  const what = isSamePage(page, reply) ? "the app's page" : 'a page'
  return unseen(
    `the server sends ${what} for ${base}/config, and no worker was found: if the app has a token handler, ${passOn(`${base}/`)}`,
  )
}

/** Returns true for a response of a token handler: its configuration for pages, or its own error. */
const isHandler = (reply: Reply, answer: Record<string, unknown> | undefined): boolean =>
  answer !== undefined &&
  ('base' in answer || (codeOf(reply) !== undefined && reply.header('x-strongroom') !== undefined))

/** Checks that a request of the app's own page gets a response, which no cache keeps. */
const checkHealth = async (deployment: Deployment, base: string) => {
  const { report, requests, origin } = deployment
  const reply = await requests.send(`${origin}${base}/session`, { headers: script(origin) })
  const isHealthy = reply.status === 200 && jsonOf(reply) !== undefined && 'session' in jsonOf(reply)!
  report.check(
    'handler.session',
    "the handler responds to the app's own pages",
    !isHealthy && "the handler does not respond to the app's own pages",
    seenError(reply),
    codeOf(reply) === 'cross_site_request'
      ? `${option(deployment, 'origin', origin)}, or let the proxy pass the headers Host, Origin, X-Strongroom and Sec-Fetch-Site unchanged`
      : "look at the handler's log: await handler.ready() names what is wrong",
  )
  if (!isHealthy) return
  const cache = reply.header('cache-control') ?? ''
  const age = ageOf(reply)
  report.check(
    'handler.no-store',
    "no cache keeps the handler's responses",
    (!/no-store/.test(cache) || age !== 0) && "a cache may send one user's session to another",
    age ? `Age: ${age}, from a cache in front of the handler` : seenHeader(reply, 'Cache-Control'),
    'Cache-Control: no-store, as the handler sends it',
  )
}

/** Judges whether requests from elsewhere are refused. If not, a proxy drops or sets headers. */
const refusals = async ({ requests, origin }: Deployment, base: string): Promise<Verdict> => {
  const attacks: [name: string, path: string, headers: Record<string, string>][] = [
    ['without X-Strongroom', 'session', unmarked(origin)],
    ['with Sec-Fetch-Site: cross-site', 'session', { ...script(origin), 'Sec-Fetch-Site': 'cross-site' }],
    ['with the Origin of another site', 'session', { ...script(origin), Origin: 'https://doctor.invalid' }],
    [
      'as an image',
      'login',
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' },
    ],
  ]
  const passed: string[] = []
  const failed: string[] = []
  for (const [name, path, headers] of attacks) {
    const reply = await requests.send(`${origin}${base}/${path}`, { headers })
    const what = `for /${path} ${name}`
    // A firewall may refuse them, too. An error does not show what the server does at other times.
    if (reply.status >= 200 && reply.status < 400) passed.push(`${reply.status} ${what}`)
    else if (![400, 401, 403].includes(reply.status)) failed.push(`${seenOf(reply)} ${what}`)
  }
  if (passed.length) return fault('requests of other sites are not refused', passed.join('\n'), UNCHANGED)
  return failed.length
    ? unseen(
        `the server responds with an error to requests of other sites, so it is unknown whether they are refused: ${failed[0]}`,
      )
    : ok('requests of other sites are refused')
}

/** The bytes that the handler's cookies have at most, together. */
const LONGEST_COOKIES = 8000

/** Checks that requests with the longest cookies reach the handler. */
const checkLengths = async (deployment: Deployment, base: string) => {
  const { report, requests, origin, handlerConfig } = deployment
  if (handlerConfig?.session?.storage === 'in-store') {
    report.ok('handler.cookie-length', "session.storage is 'in-store': the cookie has about 150 characters")
    return
  }
  const half = 'x'.repeat(LONGEST_COOKIES / 2 - 'doctor1=; '.length)
  const cookies = { Cookie: `doctor1=${half}; doctor2=${half}` }
  const reply = await requests.send(`${origin}${base}/session`, {
    headers: { ...script(origin), ...cookies },
  })
  report.check(
    'handler.cookie-length',
    `requests with ${LONGEST_COOKIES} bytes of cookies reach the handler`,
    // An error of the handler itself has arrived, too.
    reply.status !== 200 &&
      codeOf(reply) === undefined &&
      'a server in front of the handler refuses long cookies, also at a logout',
    `${seenOf(reply)} for a request with ${LONGEST_COOKIES} bytes of cookies`,
    `${option(deployment, 'session', { storage: 'in-store' })}, or higher limits: in nginx, large_client_header_buffers 4 16k;`,
  )
  report.unseen('handler.response-length', cookieSize(handlerConfig ?? {}))
}

/** Judges whether the browser's own requests about bound sessions reach the handler, and whether its responses come back. */
const binding = async ({ requests, origin, handlerConfig }: Deployment, base: string): Promise<Verdict> => {
  if (!handlerConfig?.session?.bind) {
    const isUnknown = handlerConfig === undefined
    return unused(
      `the handler binds no session${isUnknown ? ', or its configuration is not known (--config FILE)' : ''}`,
    )
  }
  const headers = {
    ...script(origin),
    'Sec-Fetch-Mode': 'no-cors',
    'Sec-Secure-Session-Id': 'doctor',
    'Content-Length': '0',
  }
  const send = (path: string) => requests.send(`${origin}${base}${path}`, { method: 'POST', headers })
  // The handler refuses a registration without a signature, and ends a session that it does not know.
  const [registration, renewal] = [await send('/bind'), await send('/bind/refresh?doctor')]
  const wrong = [
    ...(registration.status === 403 && registration.body === ''
      ? []
      : [`${seenOf(registration)} for POST ${base}/bind`]),
    ...(jsonOf(renewal)?.['continue'] === false ? [] : [`${seenOf(renewal)} for POST ${base}/bind/refresh`]),
  ]
  return check(
    'requests that bind sessions reach the handler',
    wrong.length > 0 && 'requests that bind sessions do not reach the handler, so sessions stay unbound',
    wrong.join('\n'),
    `let the proxy pass POST ${base}/bind and POST ${base}/bind/refresh to the handler, with the headers Origin, Sec-Fetch-* and Sec-Secure-Session-Id unchanged`,
  )
}

/** Returns routes with a prefix. A server, or a configuration, may have anything in their place. */
export const routesOf = (routes: unknown): { prefix: string; url: string }[] =>
  (Array.isArray(routes) ? routes : []).filter(
    (route) => typeof route?.prefix === 'string' && route.prefix.startsWith('/'),
  )

/** Checks that routes lead to the handler, and to nothing without a session. */
const checkRoutes = async (
  { report, requests, origin, handlerConfig }: Deployment,
  known: { prefix: string }[],
  apis: { url: string }[] = [],
) => {
  const prefixes = new Set([...known, ...(handlerConfig?.routes ?? [])].map(({ prefix }) => prefix))
  // Another line judges an API at the same path, to which calls of the vault go.
  for (const { url } of apis) {
    const address = new URL(url, origin)
    if (address.origin === origin) prefixes.delete(address.pathname)
  }
  if (!prefixes.size)
    report.unused('handler.routes', "without the handler's configuration (--config FILE), no route is known")
  for (const prefix of prefixes) {
    // Frameworks such as Next redirect the folder itself, which no app calls.
    const path = prefix.endsWith('/') ? `${prefix}strongroom-doctor` : prefix
    const reply = await requests.send(origin + path, { headers: script(origin) })
    // The handler marks its own errors: here a missing login, or a refused method.
    const isOwn = reply.header('x-strongroom') !== undefined
    report.check(
      `handler.route ${prefix}`,
      `${prefix} leads to the handler, which asks for a login`,
      !isOwn && `${prefix} does not lead to the handler`,
      seenError(reply),
      passOn(prefix),
    )
  }
}
