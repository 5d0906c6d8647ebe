/** The vault's frame in the demo whose vault has its own origin. */
import { vaultFrame } from 'strongroom/vault-frame'
import { startWorker } from './worker-url.js'

vaultFrame({ apps: [APP], worker: startWorker })
