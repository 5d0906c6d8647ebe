/** The lines about the rules of `apis`. */
import type { ApiRule } from '../worker/config.js'
import { HEADERS, ORIGIN } from './cors.js'
import { type Deployment, option } from './deployment.js'
import { fallbackRoute } from './fallback.js'
import { ageOf, completed, listOf, type Reply, crossOrigin, seenHeader, seenOf } from './requests.js'

/** Methods that need no permission by a preflight. */
const SIMPLE = ['GET', 'HEAD', 'POST']

/** Checks each rule. */
export const checkApis = async (deployment: Deployment): Promise<void> => {
  const { config, origin, report } = deployment
  if (!config) return
  for (const [i, rule] of config.apis.entries()) {
    const id = `api.${i}`
    const url = new URL(rule.url, origin + (deployment.worker ?? '/'))
    let failure: string | undefined
    if (url.origin === origin)
      report.unused(`${id}.preflight`, `${url} is on the app's origin, so it needs no CORS`)
    else failure = await checkPreflight(deployment, id, url.href, rule)
    const responds = await checkResponse(deployment, id, url, rule)
    report.add(`${id}.fallback`, await fallbackRoute(deployment, url, rule))
    // Otherwise the line about the response says that no server responds.
    if (failure !== undefined && responds)
      report.fault(
        `${id}.preflight`,
        `the browser refuses calls to ${url}: nothing responds to OPTIONS, although calls get a response`,
        `${failure} for a preflight`,
        `let the API, and each firewall before it, respond to OPTIONS ${url} with 204, without authentication`,
      )
  }
}

/** Returns a method of a rule that changes nothing. */
const safeMethod = ({ methods = ['GET'] }: ApiRule) => ['GET', 'HEAD'].find((one) => methods.includes(one))

const METHODS = 'Access-Control-Allow-Methods'
const MAX_AGE = 'Access-Control-Max-Age'
const EXPOSED = 'Access-Control-Expose-Headers'
const CREDENTIALS = 'Access-Control-Allow-Credentials'

/**
 * Returns the header without which browsers keep a response from the app, with its right value. With cookies, the origin
 * must be named, and a second header is needed (Fetch 3.3.5).
 */
const missingHeader = (reply: Reply, origin: string, { credentials }: ApiRule) => {
  const value = reply.header(ORIGIN)
  const hasCookies = credentials === 'include'
  if (value !== origin && (value !== '*' || hasCookies)) return { name: ORIGIN, value: origin }
  if (hasCookies && reply.header(CREDENTIALS) !== 'true') return { name: CREDENTIALS, value: 'true' }
  return undefined
}

/** Returns true if a list of a response has this name. With cookies, `*` has no special meaning (Fetch 3.3.5). */
const isIn = (list: string[], name: string, { credentials }: ApiRule) =>
  list.includes(name.toLowerCase()) || (credentials !== 'include' && list.includes('*'))

/** Checks the preflight of a call with a token. Resolves with the reason if nothing responds. */
const checkPreflight = async (
  deployment: Deployment,
  id: string,
  url: string,
  rule: ApiRule,
): Promise<string | undefined> => {
  const { report, requests, config, origin } = deployment
  const { methods = ['GET', 'HEAD'] } = rule
  const names = ['Authorization', ...(config!.dpop ? ['DPoP'] : [])]
  const ask = (method: string) =>
    requests.send(url, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': method,
        'Access-Control-Request-Headers': names.join(',').toLowerCase(),
        'Sec-Fetch-Mode': 'cors',
      },
    })
  const reply = await ask(methods.find((method) => !SIMPLE.includes(method)) ?? methods[0]!)
  if (reply.status === 0 && safeMethod(rule) !== undefined) return reply.failure
  const needed = missingHeader(reply, origin, rule)
  const isOk = reply.status >= 200 && reply.status < 300 && !needed
  report.check(
    `${id}.preflight`,
    `${origin} may call ${url}`,
    !isOk && `the browser refuses calls to ${url}`,
    `${seenOf(reply)} for a preflight, ${seenHeader(reply, needed?.name ?? ORIGIN)}`,
    needed
      ? `${needed.name}: ${needed.value}`
      : `let the API respond to OPTIONS ${url} with 204, without authentication`,
  )
  if (!isOk) return undefined
  const headers = listOf(reply, HEADERS)
  // `*` does not stand for Authorization (Fetch 3.3.5).
  const missing = names.filter(
    (name) => !headers.includes(name.toLowerCase()) && !(name === 'DPoP' && isIn(headers, name, rule)),
  )
  report.check(
    `${id}.headers`,
    `calls may have ${names.join(' and ')}`,
    missing.length > 0 && `the API's preflight does not allow the header ${missing.join(' or ')}`,
    seenHeader(reply, HEADERS),
    completed(reply, HEADERS, [...names, 'Content-Type']),
  )
  const allowed = listOf(reply, METHODS)
  const refused: string[] = []
  for (const method of methods.filter((one) => !SIMPLE.includes(one))) {
    if (isIn(allowed, method, rule)) continue
    const other = await ask(method)
    if (!isIn(listOf(other, METHODS), method, rule)) refused.push(method)
  }
  report.check(
    `${id}.methods`,
    `calls may have the methods ${methods.join(', ')}`,
    refused.length > 0 && `the browser refuses calls with ${refused.join(', ')}`,
    seenHeader(reply, METHODS),
    completed(reply, METHODS, methods),
  )
  const age = reply.header(MAX_AGE)
  report.checkSpeed(
    `${id}.preflight-age`,
    'browsers may keep the result of a preflight',
    !(Number(age ?? 5) >= 60) && 'almost every call costs a second request',
    seenHeader(reply, MAX_AGE) + (age === undefined ? ', which means 5 seconds' : ''),
    `${MAX_AGE}: 7200`,
  )
  return undefined
}

/** Checks the response to a call without a token. Resolves with true if there is one. */
const checkResponse = async (
  deployment: Deployment,
  id: string,
  url: URL,
  rule: ApiRule,
): Promise<boolean> => {
  const { report, requests, origin } = deployment
  const marker = `doctor-${crypto.randomUUID()}`
  const method = safeMethod(rule)
  if (method === undefined) {
    report.unseen(
      `${id}.response`,
      `${url} allows only methods that could change something, so no call was sent`,
    )
    return false
  }
  const headers = { ...crossOrigin(origin), 'X-Request-Marker': marker }
  const reply = await requests.send(url.href, { method, headers })
  if (reply.status === 0) {
    const fix = `correct the rule's url, or let a server respond at ${url.origin}`
    report.fault(`${id}.response`, `no response from ${url}`, seenOf(reply), fix)
    return false
  }
  if (reply.redirect !== undefined) {
    const to = reply.redirect
    const why = 'the vault follows no redirect of an API (redirect_blocked)'
    report.fault(`${id}.redirect`, why, seenOf(reply), option(deployment, 'url', to.replace(/[?#].*$/, '')))
    return true
  }
  report.ok(`${id}.redirect`, 'the API does not redirect')
  checkCors(deployment, id, url, rule, reply)
  const cache = reply.header('cache-control') ?? ''
  const isKept = /\b(public(?!.*max-age=0)|s-maxage=[1-9]|max-age=[1-9])/i.test(cache)
  const isOwn = /\b(no-store|private)\b/i.test(cache)
  const age = ageOf(reply)
  if (rule.cache) report.unused(`${id}.no-store`, 'the rule has cache: true')
  else {
    report.check(
      `${id}.no-store`,
      'no cache sends a response to another user',
      ((isKept && !isOwn) || age !== 0) && 'a cache may keep responses, and send them to another user',
      age ? `Age: ${age}, from a cache in front of the API` : seenHeader(reply, 'Cache-Control'),
      'Cache-Control: no-store',
    )
  }
  const isRepeated = (reply.body + reply.head).includes(marker)
  if (reply.isPartial && !isRepeated)
    report.unseen(`${id}.echo`, `not the whole response of ${url} was read (${seenOf(reply)})`)
  else
    report.check(
      `${id}.echo`,
      'the API does not repeat the headers of a request',
      isRepeated && "the API repeats a request's headers, so it would show the token",
      `the value of the request header X-Request-Marker in the response of ${url}`,
      "turn the API's debug page or echo off",
    )
  return true
}

/** Checks that the page's origin may read the response, and the headers that the vault needs. */
const checkCors = (
  { report, config, origin }: Deployment,
  id: string,
  url: URL,
  rule: ApiRule,
  reply: Reply,
) => {
  if (url.origin === origin) return
  const cors = missingHeader(reply, origin, rule)
  report.check(
    `${id}.response`,
    `${origin} may read responses, also errors (${reply.status})`,
    cors && `the browser refuses the response with status ${reply.status}`,
    seenHeader(reply, cors?.name ?? ORIGIN),
    `${cors?.name}: ${cors?.value} (once in each response, errors included)`,
  )
  const needed = [
    ...(rule.stepUp ? ['WWW-Authenticate'] : []),
    ...(config!.dpop && reply.header('dpop-nonce') !== undefined ? ['DPoP-Nonce'] : []),
  ]
  if (!needed.length) {
    report.unused(`${id}.exposed`, 'the vault itself needs no header that the API would have to expose')
    return
  }
  const exposed = listOf(reply, EXPOSED)
  const missing = needed.filter((name) => !isIn(exposed, name, rule))
  report.check(
    `${id}.exposed`,
    `the vault can read ${needed.join(' and ')}`,
    missing.length > 0 && `the vault cannot read ${missing.join(' and ')}`,
    seenHeader(reply, EXPOSED),
    completed(reply, EXPOSED, needed),
  )
}
