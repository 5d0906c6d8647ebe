/**
 * The worker's side of strongroom: runs the vault. The same file works as a SharedWorker and as a Worker.
 *
 * ```ts
 * import { vault } from 'strongroom/worker'
 * vault({ issuer: 'https://id.example.com', clientId: 'spa', redirectUri: '/callback', … })
 * ```
 *
 * @module
 */
import * as core from '../../glue/strongroom.js'
import { type StoreLock, openStoreLock } from './store-lock.js'
import type { VaultConfig } from './config.js'
import { StrongroomError, withoutInterned } from '../page/error.js'
import { BYE, HANDSHAKE, lockName, type VaultMessage } from '../protocol/messages.js'
import { loadWasm, type WasmSource } from './wasm.js'

export type * from './config.js'
export type { WasmSource } from './wasm.js'
export { StrongroomError }

/** Options of {@link vault} that are not the vault's configuration. */
export interface VaultOptions {
  /**
   * The core. Default: beside this file, strongroom_bg.wasm, or strongroom_extended_bg.wasm if the configuration
   * has an option that needs it: docs/deployment.md lists them. The extended module serves every configuration.
   */
  wasm?: WasmSource
}

/**
 * Matches the configuration's JSON if it has an option that only the extended module supports: every option that is `true`
 * except `par`, and some others. A rule's `audience` and `scope` are recognized by the rule's `url` beside them. A string
 * that looks like such an option loads the extended module without need.
 */
const NEEDS_EXTENDED =
  /"((?!par")[^"]+":true|persist":"[^m]|(\w+Alg|\w+Headers|metadata|responseMode|login\w+|webSocket|resource|trusted\w+|unreq\w+)":|url":[^{}]*"(audience|scope)":|(audience|scope)":[^{}]*"url":)/

/** What a page is told. It adds what happened, where the code says it, and what to do. */
type VaultFailure = Pick<StrongroomError, 'code' | 'message'>

/** Texts of src/page/error-messages.ts. */
const A_FUNCTION = '\x07i'
const UNREADABLE = '\x07j'
const TRAPPED = '\x07k'
const THREW = '\x07l'

const configInvalid = (message: string): VaultFailure => ({ code: 'config_invalid', message })

/** Twice as many pages as the core serves at once: it does not count who never says hello. */
const MAX_PORTS = 512

/** The property of the worker's global scope that holds `fetch` as it was at the start: src/browser/platform.rs. */
const SAVED_FETCH = 'strongroom'

const isWorker = 'WorkerGlobalScope' in globalThis

/** Those heard from last, the latest last. */
const ports = new Set<MessagePort>()
let started = false
let memory: WebAssembly.Memory | undefined
let storeLock: StoreLock | undefined
let failure: VaultFailure | undefined
/** The lock by which pages see that this worker has gone; once it is held, or they would get it first. */
let lifetimeLock: Promise<string> | undefined

/**
 * Starts the vault of this worker. Call it once; from then on nothing changes its configuration, least of
 * all a page.
 *
 * What is wrong, with the configuration or with loading the core, is told to every page that connects and
 * written to the worker's console.
 *
 * @throws {@link StrongroomError} `unsupported` outside a worker; `config_invalid` if it was called before. The first
 *   vault then ends too, since it is not clear which of the two configurations was meant.
 */
export const vault = (config: VaultConfig, options: VaultOptions = {}): void => {
  if (!isWorker) {
    const message =
      'vault() was called outside a worker. Call it in a separate file, and start the worker from that file.'
    throw new StrongroomError('unsupported', message)
  }
  if (started) {
    const fault = configInvalid('vault() was called twice in one worker')
    end(fault)
    throw new StrongroomError(fault.code, `${fault.message}. Call it once per worker file.`)
  }
  started = true
  start(config, options).catch((error) => end(error.code ? error : configInvalid(UNREADABLE + error.message)))
}

const start = async (config: VaultConfig, { wasm }: VaultOptions) => {
  // At once: what the caller does with the object afterwards is of no effect.
  const json =
    JSON.stringify(config, (name, value) => {
      // JSON would leave it out; in an array it becomes null, which the core refuses.
      if (typeof value === 'function' && isNaN(+name)) throw configInvalid(`\`${name}\`${A_FUNCTION}`)
      return value
    }) ?? 'null'
  // Bundlers look for exactly these expressions.
  wasm ??= NEEDS_EXTENDED.test(json)
    ? new URL('./strongroom_extended_bg.wasm', import.meta.url)
    : new URL('./strongroom_bg.wasm', import.meta.url)
  memory = await loadWasm(wasm, core.initSync)
  guard(() => {
    const happened = (event: number, id: number, value: unknown) =>
      guard(() => core.happened(event, id, value))
    core.start(json, location.href, self, happened, (storeLock = openStoreLock(stop)))
    for (const port of ports) core.connect(port)
  })
  // A worker does not inherit the page's policy, and works as well without one: who deploys it is told. Where
  // nothing can be read, something limits it.
  fetch(location.href).then(
    ({ headers }) =>
      /(connect|default)-src/.test(headers.get('content-security-policy')!) ||
      console.warn('strongroom: no connect-src limits this worker: see docs/deployment.md'),
    () => {},
  )
}

/** A page has come. Its messages wait in the port until somebody listens. */
const accept = (port: MessagePort) => {
  lifetimeLock!.then((name) => port.postMessage(name))
  touch(port)
  let lock = 0
  port.addEventListener('message', ({ data }) => {
    touch(port, data)
    if (lock || typeof data !== 'number' || !(data % 1)) return
    navigator.locks.request(lockName((lock = data)), () => disconnect(port))
  })
  if (failure) refuse(port, failure)
  else if (memory) guard(() => core.connect(port))
}

const touch = (port: MessagePort, data?: unknown[]) => {
  ports.delete(port)
  if (data?.[0] === BYE) return
  ports.add(port)
  const [oldest] = ports
  if (ports.size > MAX_PORTS) disconnect(oldest!)
}

/** For a page that did not: it is gone, or has to make room. */
const disconnect = (port: MessagePort) => {
  port.dispatchEvent(new MessageEvent('message', { data: [BYE] }))
}

const refuse = (port: MessagePort, { code, message }: VaultFailure) => {
  port.onmessage = null
  const failed: VaultMessage = { t: 'failed', code, message }
  port.postMessage([JSON.stringify(failed)])
}

const guard = (action: () => void) => {
  if (failure) return
  try {
    action()
  } catch (error) {
    // What the core refuses has a code. Everything else came out of it by force.
    if (typeof (error as VaultFailure | null)?.code === 'string') end(error as VaultFailure)
    else crash(error)
  }
}

/** Ends an outdated vault: its pages get another worker. */
const stop = () => {
  end({ code: 'vault_outdated', message: '' })
  setTimeout(close, 1000)
}

/** From now on every page, present and future, is told `error`. */
const end = (fault: VaultFailure) => {
  if (failure) return
  failure = fault
  // A dedicated worker lives on, and with it the lock that the other tabs wait for.
  storeLock?.close()
  for (const port of ports) refuse(port, fault)
  console.error(
    `strongroom: ${fault.code}: ${withoutInterned(fault.message) || '…'}. connect() rejects with all of it.`,
  )
  // A reload gets a new vault then, other tabs being open or not, from the file as it is by now. Not at once:
  // who connects to a worker while it closes hears nothing, and who was told is likely to try again right away.
  if ('onconnect' in self) setTimeout(close, 1000)
}

/** After a trap nothing in the core can be relied on: its secrets are wiped, and it is not called again. */
const crash = (cause: unknown) => {
  end({ code: 'vault_crashed', message: TRAPPED })
  console.error(cause)
  if (memory) new Uint8Array(memory.buffer).fill(0)
}

/** Did this error leave the core where it was, half-way through something? */
const isTrap = (error: unknown) =>
  error instanceof WebAssembly.RuntimeError || /wasm-function/.test((error as Error | null)?.stack ?? '')

const onHandshake = ({ data, ports: [port] }: MessageEvent) => {
  if (data === HANDSHAKE && port) accept(port)
}

// At once, because a page may connect before this worker's file gets to call vault().
if (isWorker) {
  // What a library puts in its place later does not see what the vault sends: src/browser/platform.rs.
  Object.defineProperty(self, SAVED_FETCH, { value: fetch })
  lifetimeLock = new Promise((held) => {
    const name = crypto.randomUUID()
    const hold = () => new Promise(() => held(name))
    const take = (): unknown =>
      // Script of a page can take it away, and pages would take this worker for gone, however often they came back.
      navigator.locks?.request(name, hold).catch((e) => e.name === 'AbortError' && take())
    take()
  })
  addEventListener('message', onHandshake)
  addEventListener('connect', (event) => {
    const [port] = (event as MessageEvent).ports
    port!.onmessage = onHandshake
  })
  addEventListener('error', (event) => {
    if (isTrap(event.error)) {
      event.preventDefault()
      crash(event.error)
    } else if (!started) end({ code: 'worker_failed', message: THREW + event.message })
  })
  addEventListener('unhandledrejection', (event) => {
    if (event.reason instanceof WebAssembly.RuntimeError) crash(event.reason)
  })
}
