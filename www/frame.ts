/** The vault's frame, in the demo with an origin for the vault. */
import { vaultFrame } from 'strongroom/vault-frame'
import { startWorker } from './worker-url.js'

vaultFrame({ apps: [APP], worker: startWorker })
