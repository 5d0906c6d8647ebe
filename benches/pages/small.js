/** A small request and its JSON, through the vault and by plain fetch in turns. */
import { connectShared, inTurns, parameter, plainFetch, report } from './room.js'

const WARM_UP = 50

report(async () => {
  const room = await connectShared()
  const viaVault = async () => (await room.fetch(`${API}orders`)).json()
  // Also renews an access token that has expired, before the bench hands it out.
  const bytes = JSON.stringify(await viaVault()).length
  const fetchPlainly = await plainFetch()
  const viaFetch = async () => (await fetchPlainly(`${API}orders`)).json()
  await inTurns(WARM_UP, viaVault, viaFetch)
  const runs = []
  for (let run = 0; run < Number(parameter('runs')); run++) {
    runs.push(await inTurns(Number(parameter('pairs')), viaVault, viaFetch))
  }
  return { runs, bytes, isIsolated: crossOriginIsolated }
})
