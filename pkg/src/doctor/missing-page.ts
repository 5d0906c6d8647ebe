/** The response for a path that does not exist. Many servers send the app's page for any path. */
import { type Deployment, policiesOf } from './deployment.js'
import { check, type Verdict } from './report.js'
import { random, type Reply, seenOf } from './requests.js'
import { isSamePage } from './scripts.js'

/** Resolves with the response for a path that does not exist, which is requested once. */
export const missingPage = async (deployment: Deployment): Promise<Reply> => {
  const { requests, origin } = deployment
  return (deployment.missing ??= await requests.send(`${origin}/strongroom-doctor-${random()}`))
}

/** Judges whether the page also has its policy at other addresses of the app. */
export const otherPages = async (deployment: Deployment): Promise<Verdict | undefined> => {
  const { page, policies } = deployment
  if (!policies.length) return undefined
  const missing = await missingPage(deployment)
  if (!isSamePage(page, missing)) return undefined
  return check(
    'the page has its policy at other addresses, too',
    !policiesOf(missing).length && 'at other addresses, the page has no policy',
    `${seenOf(missing)} without Content-Security-Policy for ${new URL(missing.url).pathname}`,
    "let the server send the page's headers with each path of the app",
  )
}
