/** The line about a rule of a vault whose users without WebAssembly call a token handler. */
import type { ApiRule } from '../worker/config.js'
import { type Deployment, fallbackOf, option } from './deployment.js'
import { script, unmarked } from './handler.js'
import { seenError } from './handler-login.js'
import { fault, ok, unseen, type Verdict } from './report.js'
import { seenOf } from './requests.js'

/** Judges whether a route of the token handler lets users without WebAssembly make the calls that a rule allows. */
export const fallbackRoute = async (
  deployment: Deployment,
  url: URL,
  rule: ApiRule,
): Promise<Verdict | undefined> => {
  const { origin, files, handlerConfig, routes } = deployment
  // Another line says that no handler responds.
  if (!routes || !fallbackOf(deployment)) return undefined
  const can = `calls of users without WebAssembly to ${url} have a route`
  const cannot = `users without WebAssembly cannot call ${url}`
  const configured = handlerConfig?.routes ?? []
  const isOwn = url.origin === origin
  // As in `routeUrl()` of pkg/src/page/token-handler/handler-fetch.ts, a call of the app's own origin keeps its address.
  const address = isOwn ? url.pathname : url.href
  const [covering] = (isOwn ? configured.map(({ prefix }) => ({ prefix, url: prefix })) : routes)
    .filter((route) => address.startsWith(route.url))
    .sort((a, b) => b.url.length - a.url.length)
  if (!isOwn && !covering)
    return fault(
      cannot,
      `the routes have ${routes.map((route) => `url: '${route.url}'`).join(', ') || 'no url'}`,
      `${option({ files }, 'url', new URL('.', url).href)} in the handler's route to this API`,
    )
  const shared = isOwn ? await sharedAddress(deployment, url, rule, can, cannot) : undefined
  if (shared) return shared
  const route = configured.find(({ prefix }) => prefix === covering?.prefix)
  if (!route) return ok(`${can}, if the route has the methods (a second --config FILE)`)
  // A vault's rule also allows HEAD by default, which few apps call, and a handler's route does not.
  const { methods: needed = ['GET'], webSocket } = rule
  const { prefix, methods = ['GET'] } = route
  const missing = [...needed, ...(webSocket ? ['GET'] : [])].filter((one) => !methods.includes(one))
  return missing.length
    ? fault(
        `${cannot} with ${missing.join(' and ')}`,
        `the route ${prefix} has the methods ${methods.join(', ')}`,
        `${option({ files }, 'methods', [...methods, ...missing])} in the route ${prefix}`,
      )
    : ok(can)
}

/** Judges an address of the app's own origin, at which the server must tell calls of the handler from those of a vault. */
const sharedAddress = async (
  { origin, requests }: Deployment,
  url: URL,
  { exact, webSocket }: ApiRule,
  can: string,
  cannot: string,
): Promise<Verdict | undefined> => {
  const ask = (headers: Record<string, string>) =>
    requests.send(exact ? url.href : `${url}strongroom-doctor`, { headers })
  const fix = `let the server pass calls of ${url.pathname} with the header X-Strongroom to a route of the handler, and all others to the API`
  const ofHandler = await ask(script(origin))
  if (ofHandler.header('x-strongroom') === undefined)
    return fault(
      cannot,
      `${seenOf(ofHandler)} for ${url.pathname} with X-Strongroom, and not from the handler`,
      fix,
    )
  const ofVault = await ask(unmarked(origin))
  if (ofVault.header('x-strongroom') !== undefined)
    return fault(`users with a vault cannot call ${url}`, seenError(ofVault), fix)
  if (!webSocket) return undefined
  return unseen(
    `${can}, but a socket at ${url} has no header X-Strongroom, so it reaches either the API or the handler: give it an address of another origin`,
  )
}
