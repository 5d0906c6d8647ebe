/**
 * The line about the paths of `media`. `<object>`, `<embed>`, and pages that no service worker controls, load such
 * addresses from the server. It must not respond with the app's page, or with a file of a user.
 */
import { mediaPaths } from '../headers/checks.js'
import { type Deployment, generated, headerLine } from './deployment.js'
import { fault, ok, unused, type Verdict } from './report.js'
import { random, seenHeader, seenOf } from './requests.js'

/** Judges what the server responds below the paths of `media`. */
export const media = async (deployment: Deployment): Promise<Verdict> => {
  const { requests, origin, config } = deployment
  const paths = mediaPaths(config?.apis ?? [])
  if (!paths.length) return unused('no rule of the configuration has media')
  const policy = 'Content-Security-Policy'
  for (const path of paths) {
    const reply = await requests.send(`${origin}${path}${random()}`, { readsBody: false })
    if (reply.status !== 404 && reply.status !== 503)
      return fault(
        `the server has something below ${path}, which only the service worker may load`,
        seenOf(reply),
        `respond with 404 to each request below ${path}, such as in nginx: location ^~ ${path} { return 404; }`,
      )
    if (reply.header(policy) === undefined)
      return fault(
        `the server's response below ${path} has no policy`,
        seenHeader(reply, policy),
        headerLine(generated(deployment).page, policy),
      )
  }
  return ok(`the server has nothing below ${paths.join(' and ')}`)
}
