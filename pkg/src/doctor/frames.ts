/** The line about the frames that a page may show. Script could begin a login in a frame, and read the response. */
import type { Deployment } from './deployment.js'
import { admits, Correction, permits, written } from './policy.js'
import { check, type Verdict } from './report.js'

/** Judges whether a frame of a page may show one of these origins: the app's own, and the provider's. */
export const frames = ({ policies, origin }: Deployment, shown: string[]): Verdict | undefined => {
  // Without any policy, the line page.policy already proposes the whole policy.
  if (!policies.length) return undefined
  const shows = (name: string) =>
    permits(policies, name, (sources) => shown.some((one) => admits(sources, `${one}/`, origin)))
  const name = ['frame-src', 'object-src'].find(shows)
  return check(
    "no frame of a page may show the app's own origin or the provider's",
    name && 'a frame may show the response to a login that script has begun, and script could read it',
    written(policies, name ?? 'frame-src'),
    new Correction(policies).set(`${name ?? 'frame-src'} 'none'`),
  )
}
