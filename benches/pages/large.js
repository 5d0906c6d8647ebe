/** A large body, through the vault and by plain fetch in turns: as a whole, and piece by piece. */
import { connectShared, inTurns, parameter, plainFetch, report } from './room.js'

const READERS = {
  whole: async (response) => (await response.arrayBuffer()).byteLength,
  async pieces(response) {
    let bytes = 0
    for await (const piece of response.body) bytes += piece.length
    return bytes
  },
}

report(async () => {
  const room = await connectShared()
  await room.fetch(`${API}orders`)
  const fetchPlainly = await plainFetch()
  const size = Number(parameter('size'))
  const read = READERS[parameter('read')]
  const through = (fetcher) => async () => {
    const bytes = await read(await fetcher(`${API}bytes?size=${size}`))
    if (bytes !== size) throw new Error(`${bytes} of ${size} bytes came`)
  }
  const pair = [through(room.fetch), through(fetchPlainly)]
  await inTurns(2, ...pair)
  return inTurns(Number(parameter('pairs')), ...pair)
})
