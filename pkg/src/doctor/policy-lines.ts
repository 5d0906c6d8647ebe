/** The lines about the policies of a response: one row for each line. */
import type { Deployment } from './deployment.js'
import { mistakesIn } from './policy-mistakes.js'
import { Correction, lineOf, type Policy, written } from './policy.js'
import { check, fault, type Rows, type SharedFix, type Verdict } from './report.js'
import { firstWords } from './requests.js'

/** A deployment with the policies of the page or of the worker's file, and with the policy that the response should have. */
export interface Judged extends Deployment {
  /** The policy that the response should have. */
  readonly wanted: Policy
  readonly correction: Correction
}

/** Returns the fix that sets a directive as the wanted policy has it. */
export const wantedLine = ({ wanted, correction }: Judged, name: string): SharedFix =>
  correction.set(lineOf(wanted, name))

/** A row about a directive. */
export interface Directive {
  good: string | ((of: Judged) => string)
  bad: string
  isBad: (policies: Policy[], of: Judged) => boolean
  /** The directive as it should be. Default: as the wanted policy has it. */
  fix?: (of: Judged) => string
}

/** Returns the function that judges a directive. */
export const directive =
  (name: string, { good, bad, isBad, fix = ({ wanted }) => lineOf(wanted, name) }: Directive) =>
  (of: Judged): Verdict =>
    check(
      typeof good === 'string' ? good : good(of),
      isBad(of.policies, of) && bad,
      written(of.policies, name),
      of.correction.set(fix(of)),
    )

/** Judges policies, by `rows` only if the policies have no mistakes of syntax. Otherwise the rows would mislead. */
export const judgePolicies = async (
  deployment: Deployment,
  group: 'page' | 'worker',
  wanted: Policy,
  rows: Rows<Judged>,
): Promise<void> => {
  const { report, policies } = deployment
  const { faults, meant } = mistakesIn(policies)
  report.check(
    `${group}.syntax`,
    'the policy is written as it is meant',
    firstWords(faults.join(', ')),
    'browsers report none of these',
    `Content-Security-Policy: ${meant}`,
  )
  report.add(`${group}.sandbox`, sandbox(policies))
  if (!faults.length)
    await report.judge(rows, { ...deployment, wanted, correction: new Correction(policies) })
}

const sandbox = (policies: Policy[]): Verdict | undefined =>
  policies.some((one) => one.get('sandbox')?.includes('allow-same-origin') === false)
    ? fault(
        'the directive sandbox takes the origin away, so the vault cannot start',
        written(policies, 'sandbox'),
        'no sandbox, or sandbox with allow-same-origin and allow-scripts',
      )
    : undefined
