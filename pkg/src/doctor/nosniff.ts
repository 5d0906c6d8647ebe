/** The verdict on `X-Content-Type-Options: nosniff`, which stops browsers from guessing the type of a file. */
import { check, type Verdict } from './report.js'
import { type Reply, seenHeader, valueOf } from './requests.js'

/** Judges this header of a response. */
export const noSniff = (reply: Reply): Verdict => {
  const name = 'X-Content-Type-Options'
  return check(
    'the browser does not guess the type',
    valueOf(reply, name) !== 'nosniff' && 'the browser may guess the type',
    seenHeader(reply, name),
    `${name}: nosniff`,
  )
}
