/** Small requests of a vault that proves each of them (RFC 9449), and of one that does not. */
import { inTurns } from './compare.js'
import { connectProving, connectShared, parameters, report } from './room.js'

report(async () => {
  const read = (room, api) => async () => (await room.fetch(`${api}orders`)).json()
  const both = [read(await connectProving(), PROVEN_API), read(await connectShared(), API)]
  await inTurns(50, both)
  const times = []
  for (let run = 0; run < parameters.runs; run++) times.push(await inTurns(parameters.pairs, both))
  return times
})
