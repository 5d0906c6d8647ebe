/**
 * Measures small requests through a vault that sends a proof with each request (RFC 9449), and through a vault without
 * proofs.
 */
import { runsInTurns } from './compare.js'
import { connectProving, connectShared, parameters, report } from './connect.js'

report(async () => {
  const read = (auth, api) => async () => (await auth.fetch(`${api}orders`)).json()
  const both = [read(await connectProving(), PROVEN_API), read(await connectShared(), API)]
  return runsInTurns(both, parameters)
})
