/** The lines about the app's page: whether the address has a page, and whether the page is a secure context. */
import { isLoopback } from '../protocol/loopback.js'
import { type Deployment, handlerBase } from './deployment.js'
import { fault, unseen } from './report.js'
import { type Reply, seenHeader, seenOf } from './requests.js'

/** Returns true if there may be a token handler, even if the address has no page. */
export const mayHaveHandler = (deployment: Deployment): boolean =>
  isSecure(deployment) && (/^(200|404)$/.test(`${deployment.page.status}`) || leadsToLogin(deployment))

const isSecure = ({ options: { url } }: Deployment) => url.protocol === 'https:' || isLoopback(url.hostname)

/** Returns true if the app's server redirects to a login first. */
const leadsToLogin = (deployment: Deployment) =>
  deployment.page.redirect?.split('?')[0] === `${deployment.origin}${handlerBase(deployment)}/login`

/** Checks that there is a page. Returns false if nothing else can be looked at. */
export const findPage = (deployment: Deployment, hasHandler: boolean): boolean => {
  const { report, page, options } = deployment
  const { url } = options
  const isPage = page.status === 200 && /html/.test(page.header('content-type') ?? '')
  if (!isPage) {
    const why = hasHandler && whyUnseen(deployment)
    const hint = 'run the doctor with the address of a page that needs no login'
    report.add(
      'page.found',
      why ? unseen(`${why}, so no headers of pages were seen: ${hint}`) : fault(...noPage(page, url)),
    )
    return false
  }
  report.ok('page.found', `${url.href} is a page`)
  report.check(
    'page.secure',
    'the page is a secure context',
    !isSecure(deployment) && 'the page is not a secure context, so the browser offers no WebCrypto',
    url.origin,
    `let the server redirect ${url.origin} to https://${url.hostname}`,
  )
  return isSecure(deployment)
}

/** Returns why an app with a token handler has no page at its address, if that is no fault. */
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

/** Headers that identify services in front of a server. */
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

/** Returns the name of the service in front of the server, if the headers identify it. */
const guardOf = ({ header }: Reply): string | undefined => {
  const [name] = GUARDS.find(([, one, value]) => value.test(header(one) ?? '')) ?? []
  if (name !== undefined) return name
  const server = header('server')
  return server === undefined ? undefined : `the server (${server})`
}
