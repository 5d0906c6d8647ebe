/**
 * The core's own judgment of a configuration, by the module that runs in the worker. A file of its own in the package: the
 * plugin for Vite and the doctor load it, and a bundle of `strongroom/headers` does not contain it.
 */
import { readFile } from 'node:fs/promises'
import * as core from '../../glue/strongroom.js'
import { expandMessage } from '../page/errors/error-messages.js'
import { vaultJson } from '../protocol/plain.js'

/** Returns the fault of a configuration, or `undefined`. `base` is the worker's address. */
export type Judge = (config: unknown, base: string) => string | undefined

/** Returns the part of a worker that the core reads when it starts. No page connects, so it never uses anything else. */
const scopeAt = (base: string) => ({ performance, addEventListener: nothing, location: new URL(base) })
const nothing = () => {}
const storeLock = { open: nothing, hear: nothing }
const database = { lease: () => ({ opened: new Promise(nothing), end: nothing }) }

/** Loads the core. */
export const loadJudge = async (): Promise<Judge> => {
  const bytes = await readFile(new URL('../strongroom_bg.wasm', import.meta.url))
  core.initSync({ module: await WebAssembly.compile(bytes) })
  return (config, base) => {
    let json
    try {
      json = vaultJson(config)
    } catch (error) {
      return expandMessage((error as Error).message)
    }
    const fault = core.start(json, base, '', scopeAt(base), nothing, storeLock, database)
    return fault == null ? undefined : expandMessage(fault)
  }
}
