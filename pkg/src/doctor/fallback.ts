/** The line about a rule of a vault whose users without WebAssembly call a token handler. */
import type { ApiRule } from '../worker/config.js'
import { type Deployment, fallbackOf, option } from './deployment.js'
import { script } from './handler.js'
import { seenError } from './handler-login.js'
import { fault, ok, unseen, type Verdict } from './report.js'
import { seenOf } from './requests.js'

/** Judges whether a route of the token handler lets users without WebAssembly make the calls that a rule allows. */
export const fallbackRoute = async (
  deployment: Deployment,
  url: URL,
  { exact, methods: needed = ['GET'], webSocket }: ApiRule,
): Promise<Verdict | undefined> => {
  const { origin, requests, files, handlerConfig, routes } = deployment
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
  if (isOwn) {
    // The handler does not tell pages all of its prefixes.
    const { 'X-Strongroom': mark, ...unmarked } = script(origin)
    const ask = (headers: Record<string, string>) =>
      requests.send(exact ? url.href : `${url}strongroom-doctor`, { headers })
    const fix = `let the server pass calls of ${url.pathname} with the header X-Strongroom to a route of the handler, and all others to the API`
    const reply = await ask({ ...unmarked, 'X-Strongroom': mark })
    if (reply.header('x-strongroom') === undefined)
      return fault(
        cannot,
        `${seenOf(reply)} for ${url.pathname} with X-Strongroom, and not from the handler`,
        fix,
      )
    const other = await ask(unmarked)
    if (other.header('x-strongroom') !== undefined)
      return fault(`users with a vault cannot call ${url}`, seenError(other), fix)
    if (webSocket)
      return unseen(
        `${can}, but a socket at ${url} has no header X-Strongroom, so it reaches either the API or the handler: give it an address of another origin`,
      )
  } else if (!covering)
    return fault(
      cannot,
      `the routes have ${routes.map((route) => `url: '${route.url}'`).join(', ') || 'no url'}`,
      `${option({ files }, 'url', new URL('.', url).href)} in the handler's route to this API`,
    )
  const route = configured.find(({ prefix }) => prefix === covering?.prefix)
  if (!route) return ok(`${can}, if the route has the methods (a second --config FILE)`)
  // A vault's rule also allows HEAD by default, which few apps call, and a handler's route does not.
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
