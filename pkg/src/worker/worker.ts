/** The vault of a worker, and its connections to pages. */
import { MAX_PORTS, SAVED_FETCH } from '../../glue/constants.js'
import * as core from '../../glue/strongroom.js'
import { type StoreLock, openStoreLock } from './store-lock.js'
import { database, openEarly } from './database.js'
import type { VaultConfig } from './config.js'
import { StrongroomError } from '../page/errors/error.js'
import { THREW, TRAPPED, UNREADABLE } from '../protocol/message-keys.js'
import { isLoopback } from '../protocol/loopback.js'
import { vaultJson } from '../protocol/plain.js'
import { BYE, FRAMED_HANDSHAKE, HANDSHAKE, lockName, type VaultMessage } from '../protocol/messages.js'
import { loadWasm, type WasmSource } from './wasm.js'

/** Options of {@link vault} that are not the vault's configuration. */
export interface VaultOptions {
  /** The core's WebAssembly module, or its location. Default: strongroom_bg.wasm beside this file. */
  wasm?: WasmSource
}

/** An error for pages. A page adds the code's message and the advice. */
export type VaultFailure = Pick<StrongroomError, 'code' | 'message'>

const configInvalid = (message: string): VaultFailure => ({ code: 'config_invalid', message })

const isWorker = 'WorkerGlobalScope' in globalThis

/** The pages' ports, in the order of their last messages. */
const ports = new Set<MessagePort>()
/** The ports of pages that use the vault through a frame of its origin. */
const framed = new WeakSet<MessagePort>()
let started = false
let memory: WebAssembly.Memory | undefined
let storeLock: StoreLock | undefined
let failure: VaultFailure | undefined
/**
 * Resolves with the name of the lock by which pages detect the end of this worker, as soon as this worker holds the
 * lock.
 */
let lifetimeLock: Promise<string> | undefined

/**
 * Starts the vault of this worker. Call this function once. Nothing can change the vault's configuration afterwards.
 *
 * Errors in the configuration, or while the core is loaded, are sent to every page that connects.
 *
 * @throws `StrongroomError` `unsupported` outside a worker; `config_invalid` if this function was called before.
 *   The first vault then ends too, since it is not clear which configuration was meant.
 */
export const vault = (config: VaultConfig, options: VaultOptions = {}): void => {
  if (!isWorker) {
    const message = 'vault() was called outside a worker. Call it once per worker file.'
    throw new StrongroomError('unsupported', message)
  }
  if (started) {
    const fault = configInvalid('vault() was called twice')
    end(fault)
    throw new StrongroomError(fault.code, `${fault.message}. Call it once per worker file.`)
  }
  started = true
  start(config, options).catch((error) =>
    end(typeof error.code === 'string' ? error : configInvalid(UNREADABLE + error.message)),
  )
}

const start = async (config: VaultConfig, { wasm }: VaultOptions) => {
  // The configuration is serialized before anything asynchronous happens, so that later changes of the object have no
  // effect.
  const json = vaultJson(config)
  // Bundlers look for exactly this expression with `new URL`.
  wasm ??= new URL('./strongroom_bg.wasm', import.meta.url)
  const lock = (storeLock = openStoreLock(stop))
  memory = await loadWasm(wasm, core.initSync)
  guard(() => {
    const fault = core.start(json, location.href, name, self, onEvent, lock, database)
    if (fault != null) end(configInvalid(fault))
    else ports.forEach(connect)
  })
  if (config?.inspect && !isLoopback(location.hostname))
    console.warn('strongroom: inspect: true shows each page all calls: see docs/inspector.md')
  // A page waits for what happens now, and nothing waits for this check.
  setTimeout(checkPolicy, 1000)
}

/**
 * Warns the developer if the policy of the worker's own file has neither `connect-src` nor `default-src`: a worker does not
 * inherit the page's policy. If the request for this file fails, a policy may limit the worker already, so there is no
 * warning.
 */
const checkPolicy = () =>
  fetch(location.href).then(
    ({ headers }) =>
      /(connect|default)-src/.test(headers.get('content-security-policy')!) ||
      console.warn('strongroom: no connect-src limits this worker: see docs/headers.md'),
    () => {},
  )

const connect = (port: MessagePort) => core.connect(port, framed.has(port))

/** Accepts a page's port. The page's messages wait in the port until the core listens. */
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
  else if (memory) guard(() => connect(port))
}

const onEvent = (event: number, id: number, value: unknown) => guard(() => core.onEvent(event, id, value))

const touch = (port: MessagePort, data?: unknown[]) => {
  ports.delete(port)
  if (data?.[0] === BYE) return
  ports.add(port)
  const [oldest] = ports
  // The core does not limit the number of ports on which no `hello` has arrived.
  if (ports.size <= 2 * MAX_PORTS) return
  // Otherwise the calls of this page would never settle.
  tell(oldest!, { code: 'limit_exceeded', message: `${2 * MAX_PORTS} other ports were connected since` })
  disconnect(oldest!)
}

/** Disconnects a page that has not sent `bye`, because the page is gone or because there are too many ports. */
const disconnect = (port: MessagePort) => {
  port.dispatchEvent(new MessageEvent('message', { data: [BYE] }))
}

const refuse = (port: MessagePort, failure: VaultFailure) => {
  port.onmessage = null
  tell(port, failure)
}

const tell = (port: MessagePort, { code, message }: VaultFailure) => {
  const failed: VaultMessage = { t: 'failed', code, message }
  port.postMessage([JSON.stringify(failed)])
}

const guard = (action: () => void) => {
  if (failure) return
  try {
    action()
  } catch (error) {
    crash(error)
  }
}

/** Ends an outdated vault. The vault's pages connect to another worker. */
const stop = () => {
  end({ code: 'vault_outdated', message: '' })
  setTimeout(close, 1000)
}

/** Ends the vault. All connected and future pages receive the error. */
export const end = (fault: VaultFailure) => {
  if (failure) return
  failure = fault
  // A dedicated worker keeps running after its vault has ended, and would keep the lock that other tabs wait for.
  storeLock?.close()
  for (const port of ports) refuse(port, fault)
  // A shared worker closes, so that a reload starts a new vault from the current file even if other tabs are open. The
  // worker waits before it closes: a page that connects to a closing worker gets no response, and a page that received
  // the error may try again immediately.
  if ('onconnect' in self) setTimeout(close, 1000)
}

/** Wipes the core's memory after a trap. The core is not called again, because its state is undefined. */
const crash = (cause: unknown) => {
  end({ code: 'vault_crashed', message: TRAPPED })
  console.error(cause)
  if (memory) new Uint8Array(memory.buffer).fill(0)
}

/** Some browsers have no WebAssembly. */
const isRuntimeError = (error: unknown) =>
  'WebAssembly' in globalThis && error instanceof WebAssembly.RuntimeError

/** Returns true if this error interrupted the core. */
const isTrap = (error: unknown) =>
  isRuntimeError(error) || /wasm-function/.test((error as Error | null)?.stack ?? '')

const onHandshake = ({ data, ports: [port] }: MessageEvent) => {
  if (data === FRAMED_HANDSHAKE && port) framed.add(port)
  if ((data === HANDSHAKE || data === FRAMED_HANDSHAKE) && port) accept(port)
}

// This code runs when the module is loaded, because a page may connect before the worker's file calls vault().
if (isWorker) {
  // Saves `fetch`, so that a library that replaces `fetch` later cannot see the vault's requests:
  // src/browser/platform.rs.
  Object.defineProperty(self, SAVED_FETCH, { value: fetch })
  openEarly()
  lifetimeLock = new Promise((held) => {
    const name = crypto.randomUUID()
    const hold = () => new Promise(() => held(name))
    const take = (): unknown =>
      // Script of a page can steal the lock. The worker then requests the lock again. Otherwise, pages would believe
      // that this worker is gone.
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
    } else if (!started) {
      end({ code: 'worker_failed', message: `${THREW}${event.message} (${event.filename}:${event.lineno})` })
    }
  })
  addEventListener('unhandledrejection', (event) => {
    if (isRuntimeError(event.reason)) crash(event.reason)
  })
}
