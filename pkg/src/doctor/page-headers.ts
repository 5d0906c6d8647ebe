/** The lines about the headers of the app's page. */
import { deletion } from './clear-site-data.js'
import { type Deployment, fallbackOf, generated, headerLine, isIsolated } from './deployment.js'
import { noSniff } from './nosniff.js'
import { check, fault, ok, type Rows, unseen, unused, type Verdict } from './report.js'
import { seenHeader, valueOf } from './requests.js'

/** Referrer policies that show other sites the query of an address, which may contain the code of a login. */
const UNSAFE_REFERRER = /^(no-referrer-when-downgrade|unsafe-url)$/

const referrer = (deployment: Deployment): Verdict => {
  const { page, needsWorker } = deployment
  const name = 'Referrer-Policy'
  const value = valueOf(page, name)
  return check(
    'other sites do not see the query of the address',
    (!value || UNSAFE_REFERRER.test(value)) && 'the page does not say what other sites see of its address',
    seenHeader(page, name),
    // With `no-referrer`, forms without script have `Origin: null`, which many frameworks refuse.
    needsWorker ? headerLine(generated(deployment).page, name) : `${name}: same-origin`,
  )
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

/** Judges whether browsers get the new page after a deployment, with its policy and the names of its files. */
const cache = ({ page }: Deployment): Verdict => {
  const good = ok('browsers look for a new page after a deployment')
  const directives = cacheDirectives(page.header('cache-control') ?? '')
  const isNamed = (name: string) => directives.has(name) && directives.get(name) === undefined
  const age = directives.get('max-age')?.replaceAll('"', '')
  if (isNamed('no-cache') || isNamed('no-store') || (age !== undefined && Number(age) <= MAX_AGE)) return good
  const expires = page.header('expires')
  if (age !== undefined || Date.parse(expires ?? '') > Date.now() + MAX_AGE * 1000)
    return fault(
      'browsers keep the page, with its policy and the names of its files, after a deployment',
      age === undefined ? `Expires: ${expires}` : seenHeader(page, 'Cache-Control'),
      'Cache-Control: no-cache (for pages. Files with a hash in their name may be kept)',
    )
  // RFC 9111 section 4.2.2
  return page.header('last-modified') !== undefined && expires === undefined
    ? unseen(
        'without Cache-Control, browsers keep the page for a part of the time since Last-Modified: send no-cache',
      )
    : good
}

const OPENER = 'Cross-Origin-Opener-Policy'

const opener = (deployment: Deployment): Verdict => {
  const { page, config, needsWorker, options } = deployment
  const value = valueOf(page, OPENER)
  const hasHandler = !needsWorker && !options.vaultFrame
  const mayReadLogin = hasHandler || config?.callbackPage || fallbackOf(deployment)
  const needsAll = mayReadLogin || page.header('connection-allowlist') !== undefined
  if (value === 'same-origin' || (value === 'same-origin-allow-popups' && !needsAll))
    return ok(`${OPENER} keeps other sites' windows away`)
  const seen = seenHeader(page, OPENER)
  if (value === 'same-origin-allow-popups') {
    const script = mayReadLogin
      ? 'script can read the response to a login that it has begun'
      : 'script can send data to other servers'
    const why = `in a window with any file of the origin that lacks the headers, ${script}`
    return fault(why, seen, `${OPENER}: same-origin (other pages in allowPopups)`)
  }
  const twice = /,/.test(page.header(OPENER) ?? '') ? ' (once: browsers ignore it if two layers send it)' : ''
  const fix = hasHandler ? `${OPENER}: same-origin` : headerLine(generated(deployment).page, OPENER)
  return fault('windows of other sites keep a reference to the page', seen, fix + twice)
}

const isolation = (deployment: Deployment): Verdict =>
  isIsolated(deployment)
    ? check(
        'the page is cross-origin isolated',
        valueOf(deployment.page, OPENER) !== 'same-origin' &&
          'Cross-Origin-Embedder-Policy alone does not isolate the page',
        seenHeader(deployment.page, OPENER),
        `${OPENER}: same-origin`,
      )
    : unused('the page is not cross-origin isolated')

/** The lines about the headers of the page. */
export const PAGE_HEADERS: Rows<Deployment> = {
  'page.opener': opener,
  'page.referrer-policy': referrer,
  'page.nosniff': ({ page }) => noSniff(page),
  'page.cache': cache,
  'page.clear-site-data': deletion,
  'page.isolated': isolation,
}
