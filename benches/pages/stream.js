/** Reads a very large body slowly, through the vault or by plain fetch. */
import { connectShared, parameters, report, tokenFromBench } from './connect.js'

const size = Number(parameters.size)
/** The reader pauses after this many bytes. */
const BITE = 8 * 1024 * 1024
/** The length of a pause in milliseconds. */
const REST = 25

async function open() {
  const url = `${API}bytes?size=${size}`
  if (parameters.way === 'vault') return (await connectShared()).fetch(url)
  return fetch(url, { headers: { Authorization: `Bearer ${await tokenFromBench()}` } })
}

report(async () => {
  const start = performance.now()
  let bytes = 0
  let bite = 0
  for await (const piece of (await open()).body) {
    bytes += piece.length
    bite += piece.length
    if (bite < BITE) continue
    bite = 0
    await new Promise((resolve) => setTimeout(resolve, REST))
  }
  if (bytes !== size) throw new Error(`${bytes} of ${size} bytes came`)
  return { ms: performance.now() - start }
})
