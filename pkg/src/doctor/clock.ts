/**
 * The lines about clocks, as `Date` in responses shows them. An ID token from the future is refused
 * (src/rules/oauth/id_token.rs), so a login fails if the provider's clock is ahead of the one that judges the token.
 */
import { DEFAULT_TOLERANCE, MOST_TOLERANCE } from '../../glue/constants.js'
import { type Deployment, option } from './deployment.js'
import { check, unseen, unused, type Verdict } from './report.js'
import type { Reply } from './requests.js'

/** The seconds by which two values of `Date` may differ although the clocks are equal: it has whole seconds. */
const PRECISION = 2

/** The clocks to compare: the provider's, and that of the vault's device or of the token handler's server. */
interface Clocks {
  /** The seconds by which the provider's clock, and the one that judges ID tokens, are ahead of this device's. */
  provider: number | undefined
  own: number | undefined
  whose: string
  tolerance: number | undefined
  hasIdTokens: boolean
}

/** Judges whether the provider's clock is ahead of the users' devices, for which the doctor's own clock stands. */
export const providerClock = (deployment: Deployment, { ahead, header }: Reply): Verdict => {
  const { config, page } = deployment
  const { clockTolerance: tolerance = DEFAULT_TOLERANCE, identity } = config!
  const hasIdTokens = identity === undefined
  if (hasIdTokens && ahead !== undefined && Math.abs(ahead) > tolerance + PRECISION) {
    const seen = `the provider's clock and this device's differ by ${Math.abs(ahead)} s`
    // Of two clocks that differ, that of the app's server shows which one is wrong.
    if (page.ahead === undefined || Math.abs(ahead - page.ahead) <= tolerance)
      return unseen(`${seen}: it is not known which one is wrong`)
    if (/\bdate\b|\*/i.test(header('access-control-expose-headers') ?? ''))
      return unseen(`${seen}: a vault reads the provider's if its token endpoint exposes Date`)
  }
  return compareClocks(deployment, {
    provider: ahead,
    own: 0,
    whose: "this device's",
    tolerance,
    hasIdTokens,
  })
}

/** Compares two clocks. */
export const compareClocks = (
  deployment: Deployment,
  { provider, own, whose, tolerance = DEFAULT_TOLERANCE, hasIdTokens }: Clocks,
): Verdict => {
  if (!hasIdTokens) return unused('there are no ID tokens, whose times would be checked')
  if (provider === undefined || own === undefined)
    return unseen(`no response has shown the time of ${provider === undefined ? 'the provider' : 'the app'}`)
  const ahead = provider - own
  if (ahead < -tolerance - PRECISION) {
    const until = 'a login fails if its ID token is valid for a shorter time'
    return unseen(`the provider's clock is ${-ahead} s behind ${whose}: ${until}`)
  }
  const needed = ahead + PRECISION
  const tolerated = needed > MOST_TOLERANCE ? '' : `, or ${option(deployment, 'clockTolerance', needed)}`
  return check(
    `the provider's clock differs from ${whose} by ${Math.abs(ahead)} s, which a login allows`,
    ahead > tolerance + PRECISION &&
      `the provider's clock is ahead of ${whose}, so each login fails (id_token_invalid)`,
    `${ahead} s, and clockTolerance is ${tolerance} s`,
    `set both clocks by the network (NTP)${tolerated}`,
  )
}
