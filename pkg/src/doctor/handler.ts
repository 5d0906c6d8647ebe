/** The lines about a token handler. */
import { cookieSize } from './cookie-size.js'
import { type Deployment, option } from './deployment.js'
import { checkFrames } from './page.js'
import { NAVIGATION, reportClient } from './provider-client.js'
import { firstWords, jsonOf, type Reply, seenHeader, seenOf, textOf } from './requests.js'

/** The headers of a request by script of the app's own pages. */
const script = (origin: string) => ({
  'X-Strongroom': '1',
  Origin: origin,
  'Sec-Fetch-Site': 'same-origin',
  'Sec-Fetch-Mode': 'cors',
  'Sec-Fetch-Dest': 'empty',
})

/** Checks the token handler. Resolves with false if no handler responds. */
export const checkHandler = async (deployment: Deployment): Promise<boolean> => {
  const { report, requests, origin, options, handlerConfig } = deployment
  const named = options.handler ?? handlerConfig?.base
  const base = (named ?? '/auth').replace(/\/$/, '')
  const reply = await requests.send(`${origin}${base}/config`, { headers: script(origin) })
  const answer = jsonOf(reply)
  if (!isHandler(reply, answer)) {
    const seen = `${seenOf(reply)} for ${base}/config`
    if (reply.status >= 500) {
      const fix = "look at the server's log: a token handler says which option it cannot use"
      report.fault('handler.found', `the server fails at ${base}`, seen, fix)
    } else if (named !== undefined || handlerConfig) {
      report.fault('handler.found', `there is no token handler at ${base}`, seen, passOn(`${base}/`))
    } else report.unused('handler.found', `there is no token handler at ${base}`)
    return false
  }
  const { base: own, routes } = answer!
  report.check(
    'handler.found',
    `there is a token handler at ${base}`,
    typeof own === 'string' && own !== base
      ? 'something in front of the handler changes the path'
      : undefined,
    `the handler's base is ${own}, and it responds at ${base}`,
    option(deployment, 'base', base),
  )
  await checkHealth(deployment, base)
  const refuses = await checkRefusals(deployment, base)
  const provider = (deployment.provider = await checkLogin(deployment, base, refuses))
  await checkLengths(deployment, base)
  await checkBinding(deployment, base)
  await checkRoutes(deployment, routes)
  // With page.opener, this keeps script from reading the response to a login that an attacker began.
  checkFrames(deployment, 'handler.frames', [origin, ...provider])
  return true
}

/** Returns the fix for a path that does not lead to the handler. */
const passOn = (path: string) =>
  `let the server pass ${path} to the token handler, with the whole path: in nginx, proxy_pass without a path, also without a final /`

/** Returns true for a response of a token handler: its configuration for pages, or its own error. */
const isHandler = (reply: Reply, answer: Record<string, unknown> | undefined): boolean =>
  answer !== undefined &&
  ('base' in answer || (codeOf(reply) !== undefined && reply.header('x-strongroom') !== undefined))

/** Returns the code of the handler's own error. */
const codeOf = (reply: Reply): string | undefined => {
  const error = jsonOf(reply)?.['error'] as { code?: unknown } | undefined
  return typeof error?.code === 'string' ? error.code : undefined
}

const seenError = (reply: Reply): string => {
  const code = codeOf(reply)
  if (code !== undefined)
    return `${reply.status} ${code}: ${(jsonOf(reply)!['error'] as { message?: string }).message ?? ''}`
  const isPage = reply.status >= 400 && /html/.test(reply.header('content-type') ?? '')
  return seenOf(reply) + (isPage ? `: ${firstWords(textOf(reply))}` : '')
}

/** Checks that a request of the app's own page gets a response, which no cache keeps. */
const checkHealth = async (deployment: Deployment, base: string) => {
  const { report, requests, origin } = deployment
  const reply = await requests.send(`${origin}${base}/session`, { headers: script(origin) })
  const isHealthy = reply.status === 200 && jsonOf(reply) !== undefined && 'session' in jsonOf(reply)!
  report.check(
    'handler.session',
    "the handler responds to the app's own pages",
    isHealthy ? undefined : "the handler does not respond to the app's own pages",
    seenError(reply),
    codeOf(reply) === 'cross_site_request'
      ? `${option(deployment, 'origin', origin)}, or let the proxy pass the headers Host, Origin, X-Strongroom and Sec-Fetch-Site unchanged`
      : "look at the handler's log: await handler.ready() names what is wrong",
  )
  if (!isHealthy) return
  const cache = reply.header('cache-control') ?? ''
  const age = reply.header('age')
  report.check(
    'handler.no-store',
    "no cache keeps the handler's responses",
    /no-store/.test(cache) && age === undefined
      ? undefined
      : "a cache may send one user's session to another",
    age === undefined
      ? seenHeader(reply, 'Cache-Control')
      : `Age: ${age}, from a cache in front of the handler`,
    'Cache-Control: no-store, as the handler sends it',
  )
}

const UNCHANGED =
  'let the proxy pass the headers X-Strongroom, Origin and Sec-Fetch-* of the browser unchanged, and set none of them'

/** Checks that requests from elsewhere are refused. Resolves with false if a proxy drops or sets headers. */
const checkRefusals = async ({ report, requests, origin }: Deployment, base: string): Promise<boolean> => {
  const { 'X-Strongroom': _, ...unmarked } = script(origin)
  const attacks: [name: string, path: string, headers: Record<string, string>][] = [
    ['without X-Strongroom', 'session', unmarked],
    ['with Sec-Fetch-Site: cross-site', 'session', { ...script(origin), 'Sec-Fetch-Site': 'cross-site' }],
    ['with the Origin of another site', 'session', { ...script(origin), Origin: 'https://doctor.invalid' }],
    [
      'as an image',
      'login',
      { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' },
    ],
  ]
  const passed: string[] = []
  for (const [name, path, headers] of attacks) {
    const { status } = await requests.send(`${origin}${base}/${path}`, { headers })
    if (status < 400) passed.push(`${status} for /${path} ${name}`)
  }
  report.check(
    'handler.csrf',
    'requests of other sites are refused',
    passed.length ? 'requests of other sites are not refused' : undefined,
    passed.join('\n'),
    UNCHANGED,
  )
  return !passed.length
}

/** Checks the navigation to the provider, the cookie of the login, and the client. Resolves with the provider's origin. */
const checkLogin = async (deployment: Deployment, base: string, refuses: boolean): Promise<string[]> => {
  const { report, requests, origin } = deployment
  const headers = { ...NAVIGATION, 'Sec-Fetch-Site': 'none' }
  const reply = await requests.send(`${origin}${base}/login?prompt=none`, { headers })
  const target = reply.redirect
  if (target === undefined) {
    const [, issuer] = /metadata is '([^']+)', not /.exec(textOf(reply)) ?? []
    const fix =
      codeOf(reply) === 'cross_site_request'
        ? refuses
          ? UNCHANGED
          : 'first repair the fault above: requests of other sites are not refused'
        : issuer !== undefined
          ? option(deployment, 'issuer', issuer)
          : "look at the handler's log: it says which request to the provider failed"
    report.fault('handler.login', 'a login does not lead to the provider', seenError(reply), fix)
    return []
  }
  const { host, origin: provider, searchParams } = new URL(target)
  report.ok('handler.login', `a login leads to ${host}`)
  checkCookies(deployment, reply.cookies)
  const expected = `${origin}${base}/callback`
  const redirectUri = searchParams.get('redirect_uri')
  if (redirectUri !== null) {
    report.check(
      'handler.redirect-uri',
      `the redirect URI is ${expected}`,
      redirectUri === expected ? undefined : 'the handler does not know its own origin',
      `redirect_uri=${redirectUri}`,
      option(deployment, 'origin', origin),
    )
  } else
    report.unused('handler.redirect-uri', 'the request was pushed, so its redirect URI is not in the address')
  // With a wrong redirect URI, the provider's response says nothing about the registration.
  if (redirectUri === null || redirectUri === expected) {
    const response = await requests.send(target, { headers: NAVIGATION })
    reportClient(deployment, 'handler.client', response, expected)
  }
  report.unseen(
    'handler.secret',
    'only a login shows if the provider accepts the secret or key of the client',
  )
  return [provider]
}

/** Checks the attributes of the handler's cookies, which a proxy may change. */
const checkCookies = ({ report, origin }: Deployment, cookies: string[]) => {
  const isSecure = origin.startsWith('https:')
  const needed: [RegExp, string][] = [
    [/; *httponly *(;|$)/i, 'HttpOnly'],
    [/; *samesite=(lax|strict) *(;|$)/i, 'SameSite=Lax'],
    [/; *path=\/ *(;|$)/i, 'Path=/'],
    ...(isSecure
      ? ([
          [/; *secure *(;|$)/i, 'Secure'],
          [/^__Host-/, 'the prefix __Host-'],
        ] as [RegExp, string][])
      : []),
  ]
  const wrong = cookies.flatMap((cookie) => {
    const [name = ''] = cookie.split('=')
    const missing = needed.filter(([pattern]) => !pattern.test(cookie)).map(([, attribute]) => attribute)
    if (/; *domain=/i.test(cookie)) missing.push('a Domain')
    return missing.length
      ? [`${name}: ${missing.join(', ').replace(/, a Domain|^a Domain/, ' and has a Domain')}`]
      : []
  })
  if (!cookies.length) {
    const fix = 'let the proxy pass Set-Cookie unchanged'
    report.fault(
      'handler.cookies',
      "the login's cookie does not arrive, so no login can end",
      'no Set-Cookie',
      fix,
    )
    return
  }
  report.check(
    'handler.cookies',
    `the login's cookie has ${needed.map(([, attribute]) => attribute).join(', ')}`,
    wrong.length ? 'something in front of the handler changes the attributes of its cookies' : undefined,
    `missing in ${wrong.join('\n')}`,
    'let proxies, and code around the handler, pass Set-Cookie unchanged: in nginx no proxy_cookie_domain, proxy_cookie_path or proxy_cookie_flags',
  )
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
    reply.status === 200 || codeOf(reply) !== undefined
      ? undefined
      : 'a server in front of the handler refuses long cookies, also at a logout',
    `${seenOf(reply)} for a request with ${LONGEST_COOKIES} bytes of cookies`,
    `${option(deployment, 'session', { storage: 'in-store' })}, or higher limits: in nginx, large_client_header_buffers 4 16k;`,
  )
  report.unseen('handler.response-length', cookieSize(handlerConfig ?? {}))
}

/** Checks that the browser's own requests about bound sessions reach the handler, and that its responses come back. */
const checkBinding = async ({ report, requests, origin, handlerConfig }: Deployment, base: string) => {
  if (!handlerConfig?.session?.bind) {
    const isUnknown = handlerConfig === undefined
    report.unused(
      'handler.bind',
      `the handler binds no session${isUnknown ? ', or its configuration is not known (--config FILE)' : ''}`,
    )
    return
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
  report.check(
    'handler.bind',
    'requests that bind sessions reach the handler',
    wrong.length
      ? 'requests that bind sessions do not reach the handler, so sessions stay unbound'
      : undefined,
    wrong.join('\n'),
    `let the proxy pass POST ${base}/bind and POST ${base}/bind/refresh to the handler, with the headers Origin, Sec-Fetch-* and Sec-Secure-Session-Id unchanged`,
  )
}

/** Returns the prefixes of routes. A server may have sent anything in their place. */
const prefixesOf = (routes: unknown): string[] =>
  (Array.isArray(routes) ? routes : []).flatMap((route) =>
    typeof route?.prefix === 'string' && route.prefix.startsWith('/') ? [route.prefix] : [],
  )

/** Checks that routes lead to the handler, and to nothing without a session. */
const checkRoutes = async ({ report, requests, origin, handlerConfig }: Deployment, known: unknown) => {
  const prefixes = new Set([...prefixesOf(known), ...prefixesOf(handlerConfig?.routes)])
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
      isOwn ? undefined : `${prefix} does not lead to the handler`,
      seenError(reply),
      passOn(prefix),
    )
  }
}
