/** The lines about a login through a token handler: from its first request to the provider, and back to the handler. */
import type { ProviderMetadata } from '../worker/config.js'
import { compareClocks } from './clock.js'
import { type Deployment, option } from './deployment.js'
import { searchMetadata } from './discovery.js'
import { isAt, judge, NAVIGATION, respond, valuesOf, withoutPrompt } from './provider-client.js'
import { check, fault, ok, unseen, unused, type Verdict } from './report.js'
import { codeOf, firstWords, jsonOf, type Reply, seenOf, textOf } from './requests.js'
import { isSamePage } from './scripts.js'

/** Returns the fix for a path that does not lead to the handler. */
export const passOn = (path: string) =>
  `let the server pass ${path} to the token handler, with the whole path: in nginx, proxy_pass without a path, also without a final /`

export const UNCHANGED =
  'let the proxy pass the headers X-Strongroom, Origin and Sec-Fetch-* of the browser unchanged, and set none of them'

/** Returns what was seen of a response that should not be an error. */
export const seenError = (reply: Reply): string => {
  const code = codeOf(reply)
  if (code !== undefined)
    return `${reply.status} ${code}: ${(jsonOf(reply)!['error'] as { message?: string }).message ?? ''}`
  const isPage = reply.status >= 400 && /html/.test(reply.header('content-type') ?? '')
  return seenOf(reply) + (isPage ? `: ${firstWords(textOf(reply))}` : '')
}

/** A login that the doctor has begun, and the provider's response, if the login leads to a provider. */
interface Begun {
  login: Reply
  response?: Reply
}

/**
 * Checks the navigation to the provider, the cookie of the login, the client, and the way back. Resolves with the provider's
 * origin.
 */
export const checkLogin = async (
  deployment: Deployment,
  base: string,
  refuses: boolean,
): Promise<string[]> => {
  const { report, origin, handlerConfig } = deployment
  const redirectUri = `${origin}${base}/callback`
  // Without OpenID Connect, a handler refuses `prompt`.
  let hasIdTokens = handlerConfig?.identity === undefined
  const ask = async (prompt?: string) => {
    const judged = await begin(deployment, base, redirectUri, prompt)
    if (prompt !== undefined) hasIdTokens = judged[1].login.redirect !== undefined
    return judged
  }
  const [verdict, begun] = await withoutPrompt(ask, hasIdTokens ? 'none' : undefined)
  const { login, response } = begun
  if (login.redirect === undefined) {
    report.fault(
      'handler.login',
      'a login does not lead to the provider',
      ...noRedirect(deployment, login, refuses),
    )
    return []
  }
  const { origin: provider, searchParams } = new URL(login.redirect)
  const metadata = await metadataOf(deployment, begun, redirectUri)
  report.add('handler.login', target(deployment, begun, redirectUri, metadata))
  report.add('handler.cookies', loginCookies(deployment, login.cookies))
  const asked = searchParams.get('redirect_uri')
  if (asked === null)
    report.unused('handler.redirect-uri', 'the request was pushed, so its redirect URI is not in the address')
  else
    report.check(
      'handler.redirect-uri',
      `the redirect URI is ${redirectUri}`,
      asked !== redirectUri && 'the handler does not know its own origin',
      `redirect_uri=${asked}`,
      option(deployment, 'origin', origin),
    )
  // With a wrong redirect URI, the provider's response says nothing about the registration.
  if (response) {
    report.add('handler.client', verdict)
    report.add(
      'handler.clock',
      compareClocks(deployment, {
        provider: response.ahead,
        own: login.ahead,
        whose: "the server's",
        tolerance: handlerConfig?.clockTolerance,
        hasIdTokens,
      }),
    )
  }
  report.add('handler.token', await tokenEndpoint(deployment, metadata))
  await checkReturn(deployment, base, begun)
  return [provider]
}

/** Begins a login, and sends its request to the provider. */
const begin = async (
  deployment: Deployment,
  base: string,
  redirectUri: string,
  prompt?: string,
): Promise<[Verdict, Begun]> => {
  const { requests, origin } = deployment
  const query = prompt === undefined ? '' : `?prompt=${prompt}`
  const headers = { ...NAVIGATION, 'Sec-Fetch-Site': 'none' }
  const login = await requests.send(`${origin}${base}/login${query}`, { headers })
  if (login.redirect === undefined) return [{ result: 'fault', text: '' }, { login }]
  const asked = new URL(login.redirect).searchParams.get('redirect_uri')
  if (asked !== null && asked !== redirectUri) return [{ result: 'unseen', text: '' }, { login }]
  const response = await requests.send(login.redirect, { headers: NAVIGATION })
  return [judge(deployment, response, redirectUri), { login, response }]
}

/** Returns what was seen of a login that leads nowhere, and what to do. */
const noRedirect = (deployment: Deployment, login: Reply, refuses: boolean): [seen: string, fix: string] => {
  const [, issuer] = /metadata is '([^']+)', not /.exec(textOf(login)) ?? []
  const fix =
    codeOf(login) === 'cross_site_request'
      ? refuses
        ? UNCHANGED
        : 'first repair the fault above: requests of other sites are not refused'
      : issuer !== undefined
        ? option(deployment, 'issuer', issuer)
        : "look at the handler's log: it says which request to the provider failed"
  return [seenError(login), fix]
}

/** The provider's metadata, and whether they are those of the configuration. Others are only looked for. */
interface Known {
  metadata: Partial<ProviderMetadata>
  isConfigured: boolean
}

/** Resolves with the provider's metadata: those of the configuration, or of the origin to which the login leads. */
const metadataOf = async (
  { requests, handlerConfig }: Deployment,
  { login, response }: Begun,
  redirectUri: string,
): Promise<Known | undefined> => {
  const { issuer, metadata: own } = handlerConfig ?? {}
  if (issuer === undefined && own === undefined && isAt(response?.redirect, redirectUri)) return undefined
  const { document } = await searchMetadata(issuer ?? new URL(login.redirect!).origin, requests)
  if (!document && !own) return undefined
  return { metadata: { ...document, ...own }, isConfigured: issuer !== undefined || own !== undefined }
}

/** Judges whether a login leads to the provider: to the endpoint in its metadata, or to where it responds to the request. */
const target = (
  { origin, page }: Deployment,
  { login, response }: Begun,
  redirectUri: string,
  known: Known | undefined,
): Verdict => {
  const { host, origin: to, pathname } = new URL(login.redirect!)
  const endpoint = known?.metadata.authorization_endpoint
  const isKnown = typeof endpoint === 'string' && URL.canParse(endpoint)
  if ((isKnown && isPathOf(endpoint, to + pathname)) || isAt(response?.redirect, redirectUri))
    return ok(`a login leads to the provider at ${host}`)
  const location = login.header('location')!.split('?')[0]!
  const isApp = to === origin && (!URL.canParse(location) || (response && isSamePage(page, response)))
  if (!(isKnown && known!.isConfigured) && !isApp)
    return unseen(
      `a login leads to ${host}: with --config FILE, the report says if that is the provider's endpoint`,
    )
  return fault(
    isApp
      ? 'a login leads back to the app, and not to the provider'
      : `a login leads to ${host}, and not to the provider`,
    `Location: ${location}${isKnown ? `, and the metadata has ${endpoint}` : ''}`,
    'let proxies, and code around the handler, pass Location unchanged: in nginx, proxy_redirect off',
  )
}

const isPathOf = (endpoint: string, address: string) => {
  const { origin, pathname } = new URL(endpoint)
  return origin + pathname === address
}

/** Judges whether the configured token endpoint exists, as far as this can be seen from outside. */
const tokenEndpoint = async ({ requests }: Deployment, known: Known | undefined): Promise<Verdict> => {
  const endpoint = known?.isConfigured ? known.metadata.token_endpoint : undefined
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint))
    return unused('without the configuration (--config FILE), the token endpoint is not known')
  const reply = await requests.send(endpoint, { readsBody: false })
  // Other failures may be those of this place: the server may know a name, or be let through.
  if (/ECONNREFUSED/.test(reply.failure ?? '')) {
    const why = 'nothing responds at the token endpoint, so each login fails'
    return fault(why, `${seenOf(reply)} for ${endpoint}`, respond(endpoint))
  }
  return reply.failure === undefined
    ? ok(`a server responds at the token endpoint ${endpoint}`)
    : unseen(`from here, ${endpoint} cannot be requested (${reply.failure}): --probe-token asks the handler`)
}

/** The attributes that the cookie of a login needs. */
const NEEDED: [name: string, value: string, text: string][] = [
  ['httponly', '', 'HttpOnly'],
  ['samesite', 'lax', 'SameSite=Lax'],
  ['path', '/', 'Path=/'],
]

/** Judges the attributes of the handler's cookies, which a proxy may change. */
const loginCookies = ({ origin }: Deployment, cookies: string[]): Verdict => {
  const isSecure = origin.startsWith('https:')
  const needed = [...NEEDED, ...(isSecure ? [['secure', '', 'Secure'] as (typeof NEEDED)[0]] : [])]
  if (!cookies.length) {
    const why = "the login's cookie does not arrive, so no login can end"
    return fault(why, 'no Set-Cookie', 'let the proxy pass Set-Cookie unchanged')
  }
  const wrong = cookies.flatMap((cookie) => {
    const [name = '', ...attributes] = cookie.split(';').map((one) => one.trim())
    // Of two attributes with the same name, browsers take the last one (RFC 6265bis 5.7).
    const values = new Map(
      attributes.map((one) => {
        const [attribute = '', value = ''] = one.split(/ *= */)
        return [attribute.toLowerCase(), value]
      }),
    )
    const faults = needed.flatMap(([one, value, text]) => {
      const seen = values.get(one)
      if (seen !== undefined && (!value || seen.toLowerCase() === value)) return []
      return [seen === undefined ? `no ${text}` : `${text.split('=')[0]}=${seen}, not ${text}`]
    })
    if (values.get('domain')) faults.push(`Domain=${values.get('domain')}`)
    if (isSecure && !name.startsWith('__Host-')) faults.push('no prefix __Host-')
    return faults.length ? [`${name.split('=')[0]}: ${faults.join(', ')}`] : []
  })
  return check(
    `the login's cookie has ${[...needed.map(([, , text]) => text), ...(isSecure ? ['the prefix __Host-'] : [])].join(', ')}`,
    wrong.length > 0 && 'something in front of the handler changes the attributes of its cookies',
    wrong.join('\n'),
    'let proxies, and code around the handler, pass Set-Cookie unchanged: in nginx no proxy_cookie_domain, proxy_cookie_path or proxy_cookie_flags',
  )
}

/**
 * Comes back from the provider as a user who has refused, or with `--probe-token` with a code that does not exist: the handler
 * then sends it to the token endpoint, as the client that it is.
 */
const checkReturn = async (
  deployment: Deployment,
  base: string,
  { login, response }: Begun,
): Promise<void> => {
  const { report, requests, origin, options } = deployment
  const values = response?.redirect === undefined ? new URLSearchParams() : valuesOf(response.redirect)
  const state = new URL(login.redirect!).searchParams.get('state') ?? values.get('state')
  const id = 'handler.callback'
  const secret = 'handler.secret'
  if (!options.probesToken)
    report.unseen(
      secret,
      `${ONLY_LOGIN}: --probe-token sends a code that does not exist, which also shows it`,
    )
  if (state === null)
    return report.unseen(id, 'the request was pushed, so only the provider can send the response')
  if (!login.cookies.length) return report.unseen(id, 'without the cookie of the login, no response was sent')
  const query = new URLSearchParams({
    ...(options.probesToken ? { code: 'strongroom-doctor' } : { error: 'access_denied' }),
    state,
    ...(values.has('iss') && { iss: values.get('iss')! }),
  })
  const cookies = login.cookies.map((cookie) => cookie.split(';')[0]!).filter((one) => !one.endsWith('='))
  // With `again`, the handler does not ask for a cookie that is sent to its own pages only.
  const reply = await requests.send(`${origin}${base}/callback?${query}&again`, {
    headers: { ...NAVIGATION, Cookie: cookies.join('; ') },
  })
  // A page of the handler names its code in this way.
  const [, code] = /\(<code>(\w+)<\/code>\)/.exec(reply.body) ?? []
  const isUnknown = code === 'login_unknown' || (code === undefined && reply.redirect !== undefined)
  report.check(
    id,
    "the provider's response reaches the handler, with the login's cookie",
    isUnknown
      ? "the login's cookie does not come back to the handler, so no login can end"
      : code === undefined && "the provider's response does not reach the handler, so no login can end",
    `${seenError(reply)} for ${base}/callback?${options.probesToken ? 'code' : 'error'}=…`,
    isUnknown ? 'let proxies pass Cookie and Set-Cookie unchanged' : passOn(`${base}/callback`),
  )
  if (options.probesToken && code !== undefined && !isUnknown)
    report.add(secret, clientSecret(seenError(reply), code))
}

const ONLY_LOGIN = 'only a login shows if the provider accepts the secret or key of the client'

/** Judges the client's secret or key, from the handler's error after a callback with an invalid code. */
const clientSecret = (seen: string, code: string): Verdict => {
  switch (code) {
    case 'code_rejected':
      return ok('the provider accepts the secret or key of the client')
    case 'client_rejected':
      return fault(
        'the provider refuses the client, its secret or its key, so each login fails',
        seen,
        "correct `client` in the handler's configuration: docs/edge.md names what each method needs",
      )
    case 'provider_unavailable':
      return fault(
        'the handler gets no response of the token endpoint, so each login fails',
        seen,
        "look at the handler's log, which names the address and the reason",
      )
    default:
      return unseen(`${ONLY_LOGIN}: the response to a code that does not exist was ${code}`)
  }
}
