/** The lines about the page at the redirect URI. */
import { callbackIntegrity } from './callback-integrity.js'
import { otherDeletion } from './clear-site-data.js'
import { type Deployment, generated, headerLine } from './deployment.js'
import { frames } from './frames.js'
import { missingPage } from './missing-page.js'
import { firstWords, random, seenHeader, seenOf } from './requests.js'
import { isSamePage, scriptsOf } from './scripts.js'
import { wrongHeaders } from './wrong-headers.js'

/** Checks the page at the redirect URI. `own` are the headers of this page for a vault on its own origin. */
export const checkCallback = async (deployment: Deployment, own?: Record<string, string>): Promise<void> => {
  const { report, requests, config, origin, page, options } = deployment
  if (!config) return
  const { redirectUri, callbackPage } = config
  const url = URL.canParse(redirectUri, origin) ? new URL(redirectUri, origin) : undefined
  if (!url || url.origin !== origin) {
    report.unused('page.callback', `the redirect URI ${redirectUri} is not a page of this origin`)
    return
  }
  // Some firewalls refuse a query that contains a URL.
  const query = `code=strongroom-doctor&state=${random()}&iss=${encodeURIComponent(config.issuer)}`
  const reply = await requests.send(`${url.href}${url.search ? '&' : '?'}${query}`)
  const isHtml = /html/.test(reply.header('content-type') ?? '')
  // Some hosts of files send the app's page with 404 for a path without a file. Browsers show it all the same.
  const isPage = isHtml && (reply.status === 200 || isSamePage(page, reply))
  report.check(
    'page.callback',
    `the redirect URI ${url.pathname} is a page, also with the query of a login`,
    !isPage && 'the redirect URI is not a page, so no login can end',
    `${seenOf(reply)} for ${url.pathname}?${query}`,
    `let the server send the app's page for ${url.pathname} with any query, with status 200, Content-Type: text/html, and without a redirect`,
  )
  if (!isPage) return
  report.add('page.callback-data', otherDeletion(url.pathname, reply))
  if (!callbackPage && !own) {
    report.unused('page.callback-headers', 'there is no separate callback page')
    return
  }
  if (callbackPage && isSamePage(page, reply)) {
    const isEverywhere = isSamePage(page, await missingPage(deployment))
    report.fault(
      'page.callback-page',
      `the server sends the app's page for ${url.pathname}${isEverywhere ? ', as for each path without a file' : ''}, although callbackPage: true says that the callback page is there`,
      `the same scripts as ${options.url.pathname}: ${firstWords(scriptsOf(reply).join(', '))}`,
      `let the server send callback.html, which calls finishLogin(), for ${url.pathname}`,
    )
  }
  if (!own) report.add('page.frames', frames(deployment, [origin, ...providersOf(deployment)]))
  const wanted = own ?? generated(deployment).callback
  const wrong = wrongHeaders(reply, wanted)
  report.check(
    'page.callback-headers',
    'the callback page has its own headers',
    wrong.length > 0 && 'script of other pages can read a login at the callback page',
    wrong.map((name) => seenHeader(reply, name)).join('\n'),
    wrong.map((name) => headerLine(wanted, name)).join('\n'),
  )
  if (!own) report.add('page.callback-integrity', await callbackIntegrity(deployment, reply))
}

/** Returns the origins to which a page navigates for a login. */
const providersOf = ({ config, metadata }: Deployment): string[] =>
  [config!.issuer, metadata?.authorization_endpoint].flatMap((url) =>
    typeof url === 'string' && URL.canParse(url) ? [new URL(url).origin] : [],
  )
