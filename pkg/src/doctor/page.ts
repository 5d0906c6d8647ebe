/** The lines about the app's page: its policy and what it permits, and its other headers. */
import { createHash } from 'node:crypto'
import {
  type Deployment,
  generated,
  handlerBase,
  headerLine,
  isIsolated,
  needsPath,
  policiesOf,
  registeredServiceWorker,
  serviceWorkerOf,
} from './deployment.js'
import {
  admits,
  Correction,
  isAnywhere,
  isDynamic,
  NONCE,
  opensCode,
  parsePolicies,
  type Policy,
  permits,
  permitsWorkers,
  proposed,
  sourcesOf,
  written,
} from './policy.js'
import { importsOthers } from './imports.js'
import { random } from './provider-client.js'
import { slipsOf } from './slips.js'
import type { SharedFix } from './report.js'
import { firstWords, listOf, type Reply, isPrivateUrl, seenHeader, seenOf, valueOf } from './requests.js'

/** Sources from which script in the page can load code of its own. `'unsafe-inline'` is a question of the framework. */
export const isForeignCode = (source: string) => /^(data|blob):$/.test(source) || isAnywhere(source)

/** Referrer policies by which another site sees the query, which has the code of a login. */
const UNSAFE_REFERRER = /^(no-referrer-when-downgrade|unsafe-url)$/

/** Returns true if a token handler may be there, whether the address has a page or not. */
export const mayHaveHandler = (deployment: Deployment): boolean =>
  isSecure(deployment) && (/^(200|404)$/.test(`${deployment.page.status}`) || leadsToLogin(deployment))

const isSecure = ({ options: { url } }: Deployment) => url.protocol === 'https:' || isLoopback(url)

/** Returns true if the app's server asks for a login first. */
const leadsToLogin = (deployment: Deployment) =>
  deployment.page.redirect?.split('?')[0] === `${deployment.origin}${handlerBase(deployment)}/login`

/** Checks that there is a page. Returns false if nothing else can be looked at. */
export const findPage = (deployment: Deployment, hasHandler: boolean): boolean => {
  const { report, page, options } = deployment
  const { url } = options
  const isPage = page.status === 200 && /html/.test(page.header('content-type') ?? '')
  if (!isPage) {
    const why = hasHandler && whyUnseen(deployment)
    if (why)
      report.unseen(
        'page.found',
        `${why}, so no headers of pages were seen: run the doctor with the address of a page that needs no login`,
      )
    else report.fault('page.found', ...noPage(page, url))
    return false
  }
  report.ok('page.found', `${url.href} is a page`)
  report.check(
    'page.secure',
    'the page is a secure context',
    isSecure(deployment) ? undefined : 'the page is not a secure context, so the browser offers no WebCrypto',
    url.origin,
    `let the server redirect ${url.origin} to https://${url.hostname}`,
  )
  return isSecure(deployment)
}

/** Returns why an app with a token handler has no page at its address, if that is right. */
const whyUnseen = (deployment: Deployment): string | undefined => {
  const { page, options } = deployment
  if (leadsToLogin(deployment)) return `${options.url.href} asks for a login`
  return page.status === 200 && !isHtml(page.body)
    ? `${options.url.href} is not a page (${seenOf(page)})`
    : undefined
}

/** Returns true for a page, whatever its `Content-Type` is. */
const isHtml = (body: string) => /^\s*<(!doctype html|html)\b/i.test(body)

/** Returns why there is no page, what was seen, and what to do. */
const noPage = (page: Reply, url: URL): [why: string, seen: string, fix: string] => {
  const why = 'the address has no page of an app'
  const seen = seenOf(page)
  if (page.failure !== undefined)
    return page.isDown
      ? ['nothing responds at the address', seen, `start the server, or correct the address ${url.origin}`]
      : [
          'the address cannot be requested',
          seen,
          'correct what the reason names, or set NODE_EXTRA_CA_CERTS for a certificate authority of your own',
        ]
  if (page.redirect === url.href)
    return [
      'the address redirects to itself',
      seen,
      'correct the rule of the server that adds or removes https, www or a slash, and look at X-Forwarded-Proto behind a proxy',
    ]
  if (page.redirect !== undefined)
    return [why, seen, `npx strongroom doctor '${page.redirect.replaceAll("'", '%27')}'`]
  if (page.status === 401)
    return [
      `the address asks for a sign-in (${seenHeader(page, 'WWW-Authenticate')})`,
      seen,
      'look at an address without it, or let the server pass the doctor',
    ]
  if (page.status === 403 || page.status === 429) {
    const guard = guardOf(page)
    const who = guard === undefined ? 'the server, or something in front of it,' : guard
    return [
      `${who} refuses the doctor's request`,
      seen,
      "let it pass the doctor, or try --user-agent 'Mozilla/5.0' (some firewalls also look at the connection, and then only a rule for this address helps)",
    ]
  }
  if (page.status >= 500) return [why, seen, "look at the server's log"]
  return [why, seen, `let the server send the app's page (200, text/html) for ${url.pathname}`]
}

/** Headers by which services in front of a server can be known. */
const GUARDS: [name: string, header: string, value: RegExp][] = [
  ['Cloudflare', 'server', /^cloudflare/i],
  ['CloudFront', 'x-amz-cf-id', /./],
  ['AWS WAF', 'x-amzn-waf-action', /./],
  ['the load balancer of AWS', 'server', /^awselb/i],
  ['Akamai', 'server', /^akamai/i],
  ['Fastly', 'x-served-by', /^cache-/i],
  ['Vercel', 'server', /^vercel/i],
  ['Netlify', 'server', /^netlify/i],
  ['Azure Front Door', 'x-azure-ref', /./],
  ['Imperva', 'x-iinfo', /./],
  ['Sucuri', 'server', /^sucuri/i],
]

/** Returns the name of the service in front of the server, as far as headers tell. */
const guardOf = ({ header }: Reply): string | undefined => {
  const [name] = GUARDS.find(([, one, value]) => value.test(header(one) ?? '')) ?? []
  if (name !== undefined) return name
  const server = header('server')
  return server === undefined ? undefined : `the server (${server})`
}

/** Checks the headers of the app's page. */
export const checkPage = (deployment: Deployment): void => {
  checkPolicy(deployment)
  checkHeaders(deployment)
}

const isLoopback = (url: URL) =>
  isPrivateUrl(url) && /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(url.hostname)

/** Returns the policy that the page should have: what its own scripts and a token handler need, beside the generated one. */
const wantedPolicy = (deployment: Deployment): Policy => {
  const { needsWorker, provider = [] } = deployment
  const policy = parsePolicies(generated(deployment).page['Content-Security-Policy'])[0]!
  policy.get('script-src')!.push(...scriptSources(deployment))
  policy.get('form-action')!.push(...provider)
  if (needsWorker) return policy
  return policy.set('connect-src', ["'self'"]).set('worker-src', ["'none'"])
}

/** Returns the sources that the page's own scripts need beside `'self'`: the hashes in its policy, or a nonce. */
const scriptSources = ({ page, policies }: Deployment): string[] => {
  if (!scriptTags(page.body).some(([, attributes = '']) => needsSource(attributes))) return []
  const hashes = policies.flatMap((one) => sourcesOf(one, 'script-src-elem') ?? []).filter(isHash)
  return hashes.length ? hashes : [NONCE]
}

/** Returns true if a script is within the page and no data, or if it has a nonce. */
const needsSource = (attributes: string) => {
  const isCode = isScript(attributes) || /^(importmap|speculationrules)$/i.test(typeOf(attributes))
  return /\bnonce=/i.test(attributes) || (isCode && !/\bsrc=/i.test(attributes))
}

/** Returns the type of a script, by its tag. */
const typeOf = (attributes: string) => /\btype\s*=\s*["']?([^"'\s>]*)/i.exec(attributes)?.[1] ?? ''

/** Returns true if a script has code, and no data. */
const isScript = (attributes: string) =>
  /^(|module|(text|application)\/(java|ecma)script)$/i.test(typeOf(attributes))

const checkPolicy = (deployment: Deployment) => {
  const { report, page, policies, origin } = deployment
  const policy = 'Content-Security-Policy'
  const wanted = wantedPolicy(deployment)
  if (!policies.length) {
    const onlyReports = page.header('content-security-policy-report-only')
    const seen =
      onlyReports === undefined ? `no ${policy}` : `only ${policy}-Report-Only, which blocks nothing`
    const fix =
      deployment.needsWorker && deployment.worker === undefined
        ? needsPath('the whole policy')
        : proposed(wanted)
    report.fault('page.policy', 'the page has no policy', seen, fix)
    return
  }
  report.ok('page.policy', 'the page has a policy')
  if (hasSlips(deployment, 'page', policies)) return
  const correction = new Correction(policies)
  const line = (name: string) => correction.set([name, ...wanted.get(name)!].join(' '))
  const check = (id: string, name: string, good: string, bad: string, isBad: boolean, fix = line(name)) =>
    report.check(`page.${id}`, good, isBad ? bad : undefined, written(policies, name), fix)

  const opening = opensCode(policies, isForeignCode)
  report.check(
    'page.script-src',
    permits(policies, 'script-src-elem', isInline)
      ? "script-src permits inline scripts ('unsafe-inline'), and no code from elsewhere: a nonce is stricter"
      : `script-src permits only the scripts of ${['the app', ...otherHosts(policies, origin)].join(' and of ')}`,
    opening && 'script-src permits code that is not a file of the app',
    written(policies, opening ?? 'script-src'),
    line('script-src'),
  )
  checkScripts(deployment)
  check(
    'wasm-unsafe-eval',
    'script-src',
    'the page runs no WebAssembly: only the worker may',
    "script-src of the page has 'wasm-unsafe-eval', which only the worker needs",
    policies.some((one) => sourcesOf(one, 'script-src')) &&
      permits(policies, 'script-src', (sources) => sources.includes("'wasm-unsafe-eval'")),
  )
  check(
    'connect-src',
    'connect-src',
    'script in the page can send data to named addresses only',
    'script in the page can send data to any server',
    permits(policies, 'connect-src', (sources) => sources.some(isAnywhere)),
    correction.set(deployment.needsWorker ? "connect-src 'none'" : "connect-src 'self'"),
  )
  checkWorkerSource(
    deployment,
    deployment.worker === undefined ? needsPath('worker-src with this file') : line('worker-src'),
  )
  for (const [name, why] of [
    ['base-uri', 'an injected <base> can change what relative addresses mean'],
    ['form-action', 'an injected form can send data to any server'],
    ['frame-ancestors', 'any site can show the page in a frame'],
  ] as const) {
    const isFramed =
      name === 'frame-ancestors' && /^(deny|sameorigin)$/.test(valueOf(page, 'X-Frame-Options') ?? '')
    const isOpen = permits(policies, name, (sources) => sources.some(isAnywhere)) && !isFramed
    const blocked = name === 'form-action' ? blockedForms(deployment) : ''
    check(name, name, `${name} is limited${blocked}`, `${name} is not limited: ${why}`, isOpen)
  }
  const creates = (one: Policy) => !one.get('trusted-types')?.includes("'none'")
  if (policies.some((one) => one.has('require-trusted-types-for'))) {
    if (deployment.needsWorker && !policies.every(creates)) {
      report.fault(
        'page.trusted-types',
        "the page may create no policy of Trusted Types, so it cannot create the worker's URL",
        written(policies, 'trusted-types'),
        correction.set('trusted-types auth-worker'),
      )
      return
    }
    const hasPolicy = deployment.scripts.some(({ body }) => /\bcreatePolicy\b/.test(body))
    if (deployment.needsWorker && !hasPolicy && deployment.scripts.some(({ isPartial }) => isPartial)) {
      report.unseen(
        'page.trusted-types',
        'not all scripts of the page were read to their end, so it was not seen if one creates a policy of Trusted Types',
      )
      return
    }
    if (deployment.needsWorker && deployment.scripts.length && !hasPolicy) {
      report.fault(
        'page.trusted-types',
        "no script of the page creates a policy of Trusted Types, so it cannot create the worker's URL",
        written(policies, 'require-trusted-types-for'),
        "create the worker's URL by a policy, as docs/headers.md shows, or send no require-trusted-types-for",
      )
      return
    }
    report.ok('page.trusted-types', 'strings become code only by Trusted Types')
  } else report.unused('page.trusted-types', 'Trusted Types are not required')
}

/**
 * Adds the lines about the writing of policies, and about the directive `sandbox`. Returns true if a policy has a mistake in
 * writing: the other lines would then judge what is written, and not what is meant.
 */
export const hasSlips = ({ report }: Deployment, group: 'page' | 'worker', policies: Policy[]): boolean => {
  const { faults, meant } = slipsOf(policies)
  report.check(
    `${group}.syntax`,
    'the policy is written as it is meant',
    faults.length ? firstWords(faults.join(', ')) : undefined,
    'browsers report none of these',
    `Content-Security-Policy: ${meant}`,
  )
  const isOpaque = policies.some(
    (one) => one.has('sandbox') && !one.get('sandbox')!.includes('allow-same-origin'),
  )
  if (isOpaque) {
    report.fault(
      `${group}.sandbox`,
      'the directive sandbox takes the origin away, so the vault cannot start',
      written(policies, 'sandbox'),
      'no sandbox, or sandbox with allow-same-origin and allow-scripts',
    )
  }
  return faults.length > 0
}

/** Returns what `form-action` blocks: browsers apply it also to the redirect to the provider. */
const blockedForms = ({ policies, provider = [], origin }: Deployment): string => {
  const missing = provider.filter(
    (one) => !permits(policies, 'form-action', (sources) => admits(sources, `${one}/`, origin)),
  )
  return missing.length ? `: a form that signs out also needs ${missing.join(' and ')}` : ''
}

/** A nonce or a hash turns `'unsafe-inline'` off. */
const isInline = (sources: string[]) =>
  sources.includes("'unsafe-inline'") &&
  !sources.some((source) => /^'(nonce-|sha\d|strict-dynamic)/.test(source))

/** Checks which files may become workers. */
const checkWorkerSource = (deployment: Deployment, fix: string | SharedFix) => {
  const { report, policies, worker, started, origin } = deployment
  const id = 'page.worker-src'
  const seen = written(policies, 'worker-src')
  if (!deployment.needsWorker) {
    const where = deployment.options.vaultFrame
      ? "the worker is on the vault's origin"
      : 'a token handler is in place of a worker'
    report.unused(id, where)
  } else if (policies.some(isDynamic) && permitsWorkers(policies, admitsAll(origin))) {
    const isAny = permitsWorkers(policies, (sources) => sources.some((one) => /^(blob|data):$/.test(one)))
    report.ok(
      id,
      `'strict-dynamic' lets every script become a worker${isAny ? ', also one of a blob: URL' : ''}: worker-src with the worker's file is stricter`,
    )
  } else if (permits(policies, 'worker-src', admitsAll(origin))) {
    report.fault(id, 'every file of the origin may become a worker, also an uploaded one', seen, fix)
  } else if (
    !permitsWorkers(policies, (sources) => sources.some((one) => one === "'self'" || !one.startsWith("'")))
  ) {
    const why = /'(nonce-|sha\d)/.test(seen) ? ': a nonce or a hash does not count for workers' : ''
    report.fault(id, `no file may become a worker${why}`, seen, fix)
  } else if (permitsWorkers(policies, (sources) => sources.some((one) => /^(blob|data):$/.test(one)))) {
    report.fault(id, 'script in the page can start a worker with code of its own', seen, fix)
  } else if (worker !== undefined && !mayStart(deployment, worker)) {
    report.fault(id, `worker-src does not permit ${origin}${worker}`, seen, fix)
  } else if (started !== undefined && !mayStart(deployment, started)) {
    const wanted = new Correction(policies).set(`worker-src ${origin}${started}`)
    report.fault(id, `the page's scripts start ${started}, which worker-src does not permit`, seen, wanted)
  } else report.ok(id, `${seen}: no other file may become a worker`)
}

const mayStart = ({ policies, origin }: Deployment, path: string) =>
  permitsWorkers(policies, (sources) => admits(sources, origin + path, origin))

const checkHeaders = (deployment: Deployment) => {
  const { report, page } = deployment
  const wanted = generated(deployment).page
  checkOpener(deployment, wanted)
  const referrer = valueOf(page, 'Referrer-Policy')
  report.check(
    'page.referrer-policy',
    'other sites do not see the query of the address',
    referrer && !UNSAFE_REFERRER.test(referrer)
      ? undefined
      : 'the page does not say what other sites see of its address',
    seenHeader(page, 'Referrer-Policy'),
    // With `no-referrer`, forms without script have `Origin: null`, which many frameworks refuse.
    deployment.needsWorker ? headerLine(wanted, 'Referrer-Policy') : 'Referrer-Policy: same-origin',
  )
  checkNoSniff(deployment, 'page.nosniff', page)
  checkCache(deployment)
  checkDeletion(deployment)
  if (isIsolated(deployment)) {
    report.check(
      'page.isolated',
      'the page is cross-origin isolated',
      valueOf(page, 'Cross-Origin-Opener-Policy') === 'same-origin'
        ? undefined
        : 'Cross-Origin-Embedder-Policy alone does not isolate the page',
      seenHeader(page, 'Cross-Origin-Opener-Policy'),
      'Cross-Origin-Opener-Policy: same-origin',
    )
  } else report.unused('page.isolated', 'the page is not cross-origin isolated')
}

/** The seconds for which a browser may keep a page. Some hosts choose a few minutes. */
const MAX_AGE = 3600

/** Returns the directives of a `Cache-Control` (RFC 9111 section 5.2), by their names. */
const cacheDirectives = (value: string): Map<string, string | undefined> =>
  new Map(
    value.split(',').map((one) => {
      const [name = '', argument] = one.trim().split('=')
      return [name.toLowerCase(), argument]
    }),
  )

/** Checks that browsers get the page of a new deployment, which names its files and its policy. */
const checkCache = ({ report, page }: Deployment): void => {
  const id = 'page.cache'
  const directives = cacheDirectives(page.header('cache-control') ?? '')
  const isNamed = (name: string) => directives.has(name) && directives.get(name) === undefined
  const age = directives.get('max-age')?.replaceAll('"', '')
  if (isNamed('no-cache') || isNamed('no-store') || (age !== undefined && Number(age) <= MAX_AGE)) {
    report.ok(id, 'browsers look for a new page after a deployment')
    return
  }
  const expires = page.header('expires')
  if (age !== undefined || Date.parse(expires ?? '') > Date.now() + MAX_AGE * 1000) {
    report.fault(
      id,
      'browsers keep the page, with its policy and the names of its files, after a deployment',
      age === undefined ? `Expires: ${expires}` : seenHeader(page, 'Cache-Control'),
      'Cache-Control: no-cache (for pages. Files with a hash in their name may be kept)',
    )
  } else if (page.header('last-modified') !== undefined && expires === undefined)
    // RFC 9111 section 4.2.2
    report.unseen(
      id,
      'without Cache-Control, browsers keep the page for a part of the time since Last-Modified: send no-cache',
    )
  else report.ok(id, 'browsers look for a new page after a deployment')
}

/** Adds a line if a response other than the page's deletes the session: a callback page, or the worker's file. */
export const checkOtherDeletion = ({ report }: Deployment, id: string, what: string, reply: Reply): void => {
  const name = 'Clear-Site-Data'
  if (!/"(storage|executionContexts|\*)"/.test(reply.header(name) ?? '')) return
  report.fault(
    id,
    `each request for ${what} deletes the session`,
    seenHeader(reply, name),
    `no ${name} with ${what}: send it with the response to a logout only`,
  )
}

/** Checks that no visit of the page deletes the session. */
export const checkDeletion = ({ report, page, needsWorker, options }: Deployment): void => {
  // The session of a vault on its own origin is there.
  if (options.vaultFrame && !needsWorker) return
  const name = 'Clear-Site-Data'
  const deleted = needsWorker ? /"(storage|executionContexts|\*)"/ : /"(cookies|\*)"/
  report.check(
    'page.clear-site-data',
    'a visit of the page deletes no session',
    deleted.test(page.header(name) ?? '') ? 'each visit of the page deletes the session' : undefined,
    seenHeader(page, name),
    `no ${name} with pages of the app: send it with the response to a logout only`,
  )
}

const checkOpener = (
  { report, page, config, needsWorker, options }: Deployment,
  wanted: Record<string, string>,
) => {
  const name = 'Cross-Origin-Opener-Policy'
  const value = valueOf(page, name)
  const id = 'page.opener'
  const hasHandler = !needsWorker && !options.vaultFrame
  const hasList = page.header('connection-allowlist') !== undefined
  const needsAll = hasHandler || config?.callbackPage || hasList
  if (value === 'same-origin' || (value === 'same-origin-allow-popups' && !needsAll)) {
    report.ok(id, `${name} keeps other sites' windows away`)
  } else if (value === 'same-origin-allow-popups') {
    const why =
      hasHandler || config?.callbackPage
        ? 'in a window with any file of the origin that lacks the headers, script can read the response to a login that it has begun'
        : 'in a window with any file of the origin that lacks the headers, script can send data to other servers'
    report.fault(id, why, seenHeader(page, name), `${name}: same-origin (other pages in allowPopups)`)
  } else {
    const twice = /,/.test(page.header(name) ?? '') ? ' (once: browsers ignore it if two layers send it)' : ''
    const fix = (hasHandler ? `${name}: same-origin` : headerLine(wanted, name)) + twice
    report.fault(id, 'windows of other sites keep a reference to the page', seenHeader(page, name), fix)
  }
}

/**
 * Checks that no frame of a page may show these origins, the app's own and the provider's: script could begin a login in
 * the frame, and read its response.
 */
export const checkFrames = ({ report, policies, origin }: Deployment, id: string, shown: string[]): void => {
  // Without a policy, the line page.policy has the whole one.
  if (!policies.length) return
  const shows = (name: string) =>
    permits(policies, name, (sources) => shown.some((one) => admits(sources, `${one}/`, origin)))
  const name = ['frame-src', 'object-src'].find(shows)
  const fix = new Correction(policies).set(`${name ?? 'frame-src'} 'none'`)
  report.check(
    id,
    "no frame of a page may show the app's own origin or the provider's",
    name && 'a frame may show the response to a login that script has begun, and script could read it',
    written(policies, name ?? 'frame-src'),
    fix,
  )
}

/** Checks that a browser does not guess the type of a file. */
export const checkNoSniff = ({ report }: Deployment, id: string, reply: Reply) => {
  const name = 'X-Content-Type-Options'
  report.check(
    id,
    'the browser does not guess the type',
    valueOf(reply, name) === 'nosniff' ? undefined : 'the browser may guess the type',
    seenHeader(reply, name),
    `${name}: nosniff`,
  )
}

/**
 * Checks that no file can be registered as a service worker, which would see the vault's requests, or the address of a
 * response to a login that script has begun.
 */
export const checkServiceWorker = async (deployment: Deployment) => {
  const { report, requests, policies, origin, page, worker, options, needsWorker } = deployment
  const id = 'page.service-worker'
  if (!needsWorker && options.vaultFrame) {
    report.unused(
      id,
      "the vault's origin is another one, whose requests a service worker of this one does not see",
    )
    return
  }
  const headers = {
    'Service-Worker': 'script',
    'Sec-Fetch-Dest': 'serviceworker',
    'Sec-Fetch-Mode': 'same-origin',
  }
  const send = (path: string) => requests.send(origin + path, { headers, readsBody: false })
  // The server refuses only what it would send otherwise. A rule of the server may be about one path only.
  if (worker !== undefined) deployment.workerFile ??= await requests.send(origin + worker)
  const named = deployment.workerFile?.status === 200 ? worker! : new URL(page.url).pathname
  const [script] = deployment.scripts
  const paths = [...new Set([named, ...(script ? [new URL(script.url).pathname] : [])])]
  const replies = await Promise.all(paths.map(async (path) => ({ path, reply: await send(path) })))
  const { path, reply } = replies.find(({ reply }) => reply.status < 400) ?? replies[0]!
  if (reply.status >= 400) {
    const refused = paths.join(' and ')
    report.ok(id, `the server refuses the registration of ${refused} as a service worker (${reply.status})`)
  } else if (!permitsWorkers(policies, admitsAll(origin))) {
    report.ok(id, `${written(policies, 'worker-src')}: no other file can be registered as a service worker`)
  } else {
    const seen = `${seenOf(reply)} for ${path} with Service-Worker: script`
    const own = registeredServiceWorker(deployment)
    const but = own === undefined ? '' : `, except for ${own}`
    const fix = `respond with 403 to requests with the header Service-Worker: script${but}`
    const sees = needsWorker ? 'the tokens' : 'the response to a login that script has begun'
    report.fault(id, `script in the page can register a service worker, which sees ${sees}`, seen, fix)
  }
}

/** Returns a test for sources that admit every file of the origin. */
const admitsAll = (origin: string) => (sources: string[]) =>
  sources.some((one) => one === "'self'" || one === origin || one === `${origin}/` || isAnywhere(one))

/** Returns a test for sources that admit several files of the origin. */
const admitsFolder = (origin: string) => (sources: string[]) =>
  admitsAll(origin)(sources) || sources.some((one) => one.startsWith(`${origin}/`) && one.endsWith('/'))

/** Checks the page at the redirect URI. A vault on its own origin has other headers, `own`, at this page. */
export const checkCallback = async (deployment: Deployment, own?: Record<string, string>): Promise<void> => {
  const { report, requests, config, origin } = deployment
  if (!config) return
  const url = URL.canParse(config.redirectUri, origin) ? new URL(config.redirectUri, origin) : undefined
  if (!url || url.origin !== origin) {
    report.unused('page.callback', `the redirect URI ${config.redirectUri} is not a page of this origin`)
    return
  }
  // Some firewalls refuse a query that contains a URL.
  const query = `code=strongroom-doctor&state=${random()}&iss=${encodeURIComponent(config.issuer)}`
  const reply = await requests.send(`${url.href}${url.search ? '&' : '?'}${query}`)
  const isHtml = /html/.test(reply.header('content-type') ?? '')
  // Some hosts of files send the app's page with 404 for a path without a file. Browsers show it all the same.
  const isPage = isHtml && (reply.status === 200 || isSamePage(deployment.page, reply))
  report.check(
    'page.callback',
    `the redirect URI ${url.pathname} is a page, also with the query of a login`,
    isPage ? undefined : 'the redirect URI is not a page, so no login can end',
    `${seenOf(reply)} for ${url.pathname}?${query}`,
    `let the server send the app's page for ${url.pathname} with any query, with status 200, Content-Type: text/html, and without a redirect`,
  )
  if (!isPage) return
  checkOtherDeletion(deployment, 'page.callback-data', url.pathname, reply)
  if (!config.callbackPage && !own) {
    report.unused('page.callback-headers', 'there is no separate callback page')
    return
  }
  if (config.callbackPage && isSamePage(deployment.page, reply)) {
    const missing = await missingPage(deployment)
    const reason = isSamePage(deployment.page, missing) ? ', as for each path without a file' : ''
    report.fault(
      'page.callback-page',
      `the server sends the app's page for ${url.pathname}${reason}, although callbackPage: true says that the callback page is there`,
      `the same scripts as ${deployment.options.url.pathname}: ${firstWords(scriptsOf(reply).join(', '))}`,
      `let the server send callback.html, which calls finishLogin(), for ${url.pathname}`,
    )
  }
  if (!own) checkFrames(deployment, 'page.frames', [origin, ...providersOf(deployment)])
  const wanted = own ?? generated(deployment).callback
  const wrong = wrongHeaders(reply, wanted)
  report.check(
    'page.callback-headers',
    'the callback page has its own headers',
    wrong.length ? 'script of other pages can read a login at the callback page' : undefined,
    wrong.map((name) => seenHeader(reply, name)).join('\n'),
    wrong.map((name) => headerLine(wanted, name)).join('\n'),
  )
  if (!own) await checkIntegrity(deployment, reply)
}

/** The fix for imports of the callback page's script. */
const BUNDLED =
  'bundle all that callback.ts imports into one file, and write its hash into the page, as viteHeaders() does (docs/callback-page.md)'

/**
 * Checks that the browser runs the callback page's scripts, and that script of other pages cannot replace them in a cache of
 * the app's service worker: the page must name the hash of all that it loads.
 */
const checkIntegrity = async (deployment: Deployment, callback: Reply): Promise<void> => {
  const { report, requests, policies, origin } = deployment
  const id = 'page.callback-integrity'
  const ofCallback = policiesOf(callback)
  const imports = inlineOf(callback, isScript).map(importsOthers)
  let others = hashesIn(callback)
  let open: { attributes: string; hash: string } | undefined
  for (const file of filesOf(callback)) {
    const { address, attributes } = file
    const script = await requests.send(file.href)
    if (script.status !== 200 || script.isPartial) {
      report.unseen(id, `the callback page's script ${address} was not read (${seenOf(script)})`)
      return
    }
    const hashes = hashesOf(attributes)
    const hash = hashOf(script, 'sha384')
    const isWrong = hashes.length > 0 && !hashes.some((one) => one === hashOf(script, one.slice(0, 6)))
    if (isWrong || !isPermitted(file, ofCallback, origin)) {
      report.fault(
        id,
        'the browser refuses this script of the callback page, so no login can end',
        isWrong
          ? `<script${attributes}>`
          : `<script${attributes}> with ${written(ofCallback, 'script-src-elem')}`,
        `integrity="${hash}" in this tag, and '${hash}' in a policy that names hashes: write them after the build's last step`,
      )
      return
    }
    const isImporting = importsOthers(script.body)
    imports.push(isImporting)
    if (isImporting && hashes.length) others--
    if (!hashes.length) open ??= { attributes, hash }
  }
  if (!imports.length) {
    report.unseen(id, 'no script was seen in the callback page, which must call finishLogin()')
    return
  }
  // Browsers compare an imported file only with a hash elsewhere in the page, as in an import map (measured in Chromium).
  const isUnnamed = imports.includes(true) && others <= 0
  if (isUnnamed && ofCallback.some((one) => sourcesOf(one, 'script-src-elem')?.every(isHash))) {
    report.fault(
      id,
      "the browser refuses what the callback page's script imports, so no login can end",
      written(ofCallback, 'script-src-elem'),
      BUNDLED,
    )
    return
  }
  const isOpen = open !== undefined || isUnnamed
  const serviceWorker = serviceWorkerOf(deployment)
  if (serviceWorker === undefined && !permitsWorkers(policies, admitsFolder(origin))) {
    report.unused(id, `${written(policies, 'worker-src')}: no service worker can be registered`)
    return
  }
  if (serviceWorker === undefined && isOpen) {
    report.unseen(
      id,
      'no service worker was seen: with one, the callback page must name the hash of all that its script loads',
    )
    return
  }
  if (!isOpen && (callback.isPartial || imports.some((one) => one !== false))) {
    report.unseen(
      id,
      'it was not seen if the callback page names the hash of all that its script loads: it must import nothing',
    )
    return
  }
  report.check(
    id,
    "the callback page names the hash of its script, so it runs nothing else from a service worker's cache",
    open
      ? `script of other pages can replace the callback page's script in a cache of ${serviceWorker}`
      : isOpen
        ? `the callback page's script imports others, which script of other pages can replace in a cache of ${serviceWorker}`
        : undefined,
    open ? `<script${open.attributes}>` : 'import in a script',
    imports.includes(true) ? BUNDLED : `integrity="${open?.hash}" in this tag`,
  )
}

/** Returns the hash of a file, as a page or a policy names it. */
const hashOf = ({ bytes }: Reply, algorithm: string): string =>
  `${algorithm}-${createHash(algorithm).update(bytes).digest('base64')}`

/** Returns the number of places in a page in which modules can have a hash: tags, an import map, and headers. */
const hashesIn = ({ body, header }: Reply): number => {
  const tags = body.replace(SCRIPT_TAG, (tag, attributes) =>
    /^module$/i.test(typeOf(attributes)) ? tag : '',
  )
  return [...`${header('link')}${tags}`.matchAll(/\bintegrity\b/gi)].length
}

/** Returns the hashes that a script's tag names. Browsers compare those of the strongest algorithm only. */
const hashesOf = (attributes: string): string[] => {
  const [, value = ''] = /\sintegrity=("[^"]*"|'[^']*'|[^\s>]*)/i.exec(attributes) ?? []
  const all = value.match(/\bsha(256|384|512)-[\w+/-]+=*/g) ?? []
  const strongest = ['512', '384', '256'].find((one) => all.some((hash) => hash.startsWith(`sha${one}`)))
  return all.filter((hash) => hash.startsWith(`sha${strongest}`))
}

/** Returns the addresses of a page's scripts. */
export const scriptsOf = (page: Reply): string[] => filesOf(page).map(({ href }) => href)

/** Returns the files that a page's scripts name, each as it is written and as a URL, with the attributes of its tag. */
const filesOf = ({ body, url }: Reply): { address: string; href: string; attributes: string }[] =>
  scriptTags(body).flatMap(([, attributes = '']) => {
    const [, address] = /\bsrc=["']?([^"'\s>]+)/i.exec(attributes) ?? []
    if (address === undefined || !URL.canParse(address, url)) return []
    return [{ address, href: new URL(address, url).href, attributes }]
  })

/** Matches the start tag of a script. A tag cannot contain another one, so long pages take no longer. */
const SCRIPT_TAG = /<script\b([^<>]*)>/gi

/** Returns the start tags of a page's scripts. */
const scriptTags = (body: string) => [...body.matchAll(SCRIPT_TAG)]

/** Returns true if two pages have the same scripts, also those within the page, and at least one file. */
export const isSamePage = (one: Reply, other: Reply) => {
  const [own, others] = [one, other].map((page) => JSON.stringify([scriptsOf(page), inlineOf(page)]))
  return scriptsOf(one).length > 0 && own === others
}

/** Returns the sources of `script-src` that name another host. */
const otherHosts = (policies: Policy[], origin: string): string[] => [
  ...new Set(
    policies
      .flatMap((one) => sourcesOf(one, 'script-src-elem') ?? [])
      .filter((source) => !source.startsWith("'") && !source.startsWith(origin)),
  ),
]

/** Returns true if policies permit a script: by its address, by a nonce, or by its hash. */
const isPermitted = (
  { href, attributes }: { href: string; attributes: string },
  policies: Policy[],
  origin: string,
): boolean => {
  const [, nonce] = /\bnonce=["']?([^"'\s>]+)/i.exec(attributes) ?? []
  const hashes = hashesOf(attributes)
  return permits(policies, 'script-src-elem', (sources) => {
    if (nonce !== undefined && sources.includes(`'nonce-${nonce}'`)) return true
    if (hashes.length > 0 && hashes.every((hash) => sources.includes(`'${hash}'`))) return true
    return !sources.includes("'strict-dynamic'") && admits(sources, href, origin)
  })
}

/** Checks that the page's policy permits the page's own scripts. */
const checkScripts = ({ report, policies, page, origin }: Deployment): void => {
  const refused = filesOf(page).flatMap((file) => (isPermitted(file, policies, origin) ? [] : [file.address]))
  report.check(
    'page.scripts',
    "the policy permits the page's own scripts",
    refused.length ? "the policy blocks the page's own scripts, so the app does not start" : undefined,
    `${firstWords(refused.join(', '))} with ${written(policies, 'script-src-elem')}`,
    "script-src 'self', or the nonce of each response in the header and in each <script>: a static page cannot have a nonce",
  )
}

const isHash = (source: string) => /^'sha(256|384|512)-/.test(source)

/** Resolves with the response for a path that does not exist, which is requested once. */
export const missingPage = async (deployment: Deployment): Promise<Reply> => {
  const { requests, origin } = deployment
  return (deployment.missing ??= await requests.send(`${origin}/strongroom-doctor-${random()}`))
}

/** Checks that pages at other addresses of the app have the policy, too. */
export const checkOtherPages = async (deployment: Deployment): Promise<void> => {
  const { report, page, policies } = deployment
  if (!policies.length) return
  const missing = await missingPage(deployment)
  if (!isSamePage(page, missing)) return
  report.check(
    'page.others',
    'the page has its policy at other addresses, too',
    policiesOf(missing).length ? undefined : 'at other addresses, the page has no policy',
    `${seenOf(missing)} without Content-Security-Policy for ${new URL(missing.url).pathname}`,
    "let the server send the page's headers with each path of the app",
  )
}

/** Returns the scripts within a page whose tags have attributes that `test` looks for. */
const inlineOf = ({ body }: Reply, test = (_attributes: string) => true): string[] =>
  scriptTags(body).flatMap(({ 0: tag, 1: attributes = '', index }) => {
    if (!test(attributes)) return []
    const start = index + tag.length
    const end = body.indexOf('</script', start)
    return end > start ? [body.slice(start, end)] : []
  })

/** Returns the origins to which a page navigates for a login. */
const providersOf = ({ config, metadata }: Deployment): string[] =>
  [config!.issuer, metadata?.authorization_endpoint].flatMap((url) =>
    typeof url === 'string' && URL.canParse(url) ? [new URL(url).origin] : [],
  )

/** Returns the names of generated headers of a page that the response lacks, or that permit more. */
export const wrongHeaders = (reply: Reply, wanted: Record<string, string>): string[] =>
  Object.keys(wanted).filter((name) => {
    // The first depends on the option `module`, and the second is for two browsers only.
    if (name === 'Link' || name === 'Connection-Allowlist') return false
    // Other directives may stand beside the one that is needed.
    if (name === 'Cache-Control') return !listOf(reply, name).includes(wanted[name]!)
    if (name !== 'Content-Security-Policy') return valueOf(reply, name) !== wanted[name]
    const policies = policiesOf(reply)
    const ancestors = parsePolicies(wanted[name])[0]!.get('frame-ancestors')!
    const isFramed = permits(policies, 'frame-ancestors', (sources) =>
      sources.some((one) => one !== "'none'" && !ancestors.includes(one)),
    )
    return isFramed || opensCode(policies, isForeignCode) !== undefined
  })
