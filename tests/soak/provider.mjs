// The provider of the soak. It may be killed at any time, and then continues with its state. SIGUSR2 begins and ends an
// outage in which the token endpoint responds with 503.
import { join } from 'node:path'
import { generateSigningKey, startProvider } from '../support/provider.mjs'
import { KeptLedger, KeptRows, keptValue } from './kept.mjs'

const { folder, ...options } = JSON.parse(process.argv[2])
const provider = await startProvider({
  ...options,
  allowedOrigins: [],
  kept: {
    ledger: new KeptLedger(join(folder, 'ledger')),
    rows: new KeptRows(join(folder, 'rows')),
    keys: await keptValue(join(folder, 'keys'), async () => [await generateSigningKey('ES256')]),
  },
})

const BUSY = { status: 503, headers: { 'Retry-After': '2' }, body: 'Busy' }
let isBusy = false
process.on('SIGUSR2', () => {
  isBusy = !isBusy
  if (isBusy) provider.faults.add('token', { answer: BUSY, times: Infinity })
  else provider.faults.clear()
})
console.log(JSON.stringify({ port: provider.port }))
