/** Starts a vault with a configuration, and returns what its core says. */
import { connect } from 'strongroom'
import { startDedicatedWorker } from '../worker-url.js'

/** The core's verdict. Without problems, the vault has started. */
export interface Verdict {
  code: string | null
  problems: string[]
}

/** The advice at the end of each message, which is the same for all configurations. */
const ADVICE = /\. Fix what the message names, and start again\.$/

let running: Worker | null = null

/** Ends the worker of a configuration that has changed. Its verdict no longer counts. */
export function stop(): void {
  running?.terminate()
  running = null
}

/**
 * Starts a vault in a worker of its own, and ends both when the vault has started or has failed. Resolves with `null` if
 * the configuration has changed in the meantime.
 */
export async function tryOut(configuration: unknown, address: string): Promise<Verdict | null> {
  stop()
  const worker = startDedicatedWorker()
  running = worker
  worker.postMessage({ configuration, address })
  const verdict = await verdictOf(worker)
  worker.terminate()
  return running === worker ? verdict : null
}

async function verdictOf(worker: Worker): Promise<Verdict> {
  try {
    const auth = await connect(worker)
    auth.close()
    return { code: null, problems: [] }
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { code, problems: message.replace(ADVICE, '').split('\n') }
  }
}
