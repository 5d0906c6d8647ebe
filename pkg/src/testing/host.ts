/**
 * The host of the core: what src/browser/host.rs is in a worker. It passes pages' messages to the core, and carries out
 * the core's output for pages and APIs.
 */
import { HANDSHAKE } from '../protocol/messages.js'
import type { TestCore } from '../../glue/strongroom_testing.js'
import type { TestApi, TestCall, TestSocket } from './api.js'
import { createCalls, type ApiOutput } from './calls.js'
import type { Locks, WorkerPort } from './ports.js'
import { createSockets, type SocketOutput } from './sockets.js'

/** Output of the core: see tests/kit/src/bindings.rs. */
type Output =
  | { t: 'post'; port: number; text: string }
  | { t: 'close'; port: number }
  | { t: 'deliver'; call: number; text: string }
  | { t: 'drop'; call: number }
  | { t: 'first'; call: number; text: string }
  | { t: 'closeSocket'; call: number; code: number; reason: string }
  | SocketOutput
  | ApiOutput

/** The functions of a test that respond to pages. */
export interface Servers {
  api?: TestApi
  socket?: (socket: TestSocket) => void
}

export interface Host {
  /** Runs a function of the core, and carries out the core's output. */
  use<T>(act: (core: TestCore) => T): T
  /** Creates the object that pages get as their worker. */
  createWorker(): object
  crash(): void
  /** Returns the number of events so far. `settle()` compares two values. */
  activity(): number
  readonly calls: TestCall[]
  isOffline: boolean
}

export const createHost = (core: TestCore, locks: Locks, { api, socket }: Servers): Host => {
  const ports = new Map<number, WorkerPort>()
  const payloads = new Map<number, unknown>()
  let events = 0
  let isOffline = false
  let workers = 0
  let failure: Error | undefined
  let releaseLock = () => {}
  let lockName = ''

  /** The core must not be used again after it has thrown. */
  const fail = (cause: unknown): never => {
    const { message } = cause as Error
    failure ??= new Error(
      `strongroom broke one of its own rules, or its test double has a fault. Please report this: ${message}`,
      { cause },
    )
    throw failure
  }
  const use = <T>(act: (core: TestCore) => T): T => {
    if (failure) throw failure
    let result: T
    try {
      result = act(core)
    } catch (error) {
      return fail(error)
    }
    carryOut()
    return result
  }
  /** As `use()`, for events that no function of the test waits for. */
  const handle = (act: (core: TestCore) => unknown) => {
    try {
      if (!failure) use(act)
    } catch (error) {
      console.error(error)
    }
  }

  const carryOut = () => {
    for (const output of core.outgoing() as Output[]) {
      events++
      if (output.t === 'post') ports.get(output.port)?.deliver([output.text])
      else if (output.t === 'close') disconnect(output.port)
      else if (output.t === 'call') calls.begin(output)
      else if (output.t === 'deliver') deliver(output.call, output.text)
      else if (output.t === 'socket') openSocket(output)
      else if (output.t === 'first') sockets.sendFirst(output.call, output.text)
      else if (output.t === 'closeSocket') sockets.close(output.call, output.code, output.reason)
      else drop(output.call)
    }
  }
  /**
   * Rejects a page's request, because the test has no function that responds to it. Returns the message, without the last
   * full stop, which the page adds.
   */
  const refuse = (port: number, id: number, option: string, what: string) => {
    const message = `testWorld() got no \`${option}\`, so nothing responds to ${what}. Pass ${option === 'api' ? 'a function that returns a Response' : 'a function that serves sockets'}`
    const refusal = { t: 'error', id, code: 'unsupported', message }
    ports.get(port)?.deliver([JSON.stringify(refusal)])
    return message
  }
  const countEvent = () => {
    events++
  }
  const calls = createCalls({
    core,
    use,
    handle,
    countEvent,
    refuse,
    isOffline: () => isOffline,
    port: (port) => ports.get(port),
    payload: (call) => payloads.get(call),
    api,
  })
  const sockets = createSockets({
    handle,
    use,
    countEvent,
    serve: (server) => socket!(server),
  })
  const openSocket = (output: SocketOutput) => {
    const { call, port, id, url, accepted } = output
    if (socket)
      return sockets.open({ ...output, accepted: accepted && !isOffline }, payloads.get(call) as WorkerPort)
    refuse(port, id, 'socket', new URL(url).origin)
    handle((core) => core.respondSocket(call, undefined))
  }
  const disconnect = (port: number) => {
    ports.get(port)?.close()
    ports.delete(port)
  }
  const deliver = (call: number, text: string) => {
    if (!sockets.deliver(call, text)) calls.deliver(call, text)
  }
  const drop = (call: number) => {
    calls.drop(call)
    payloads.delete(call)
    sockets.drop(call)
  }

  /** Handles a message of a page, as `Host::message` does. */
  const receive = (port: number, data: unknown) => {
    // Other messages ask for more chunks, which the test double sends without being asked, or name the page's lock.
    if (!Array.isArray(data) || !ports.has(port)) return
    const [text, payload] = data
    events++
    handle((core) => {
      const call = core.say(port, text, payload instanceof ReadableStream)
      if (payload !== undefined) payloads.set(call, payload)
    })
    if (text === '{"t":"bye"}') ports.delete(port)
  }
  const accept = (workerPort: WorkerPort) => {
    workerPort.deliver(lockName)
    const port = use((core) => core.connect())
    ports.set(port, workerPort)
    workerPort.receive = (data) => receive(port, data)
  }
  const startWorker = () => {
    lockName = `strongroom test worker ${++workers}`
    releaseLock = locks.hold(lockName)
  }

  const host: Host = {
    use,
    createWorker: () =>
      Object.assign(new EventTarget(), {
        locks,
        postMessage(message: unknown, [port]: WorkerPort[]) {
          if (message === HANDSHAKE && port) accept(port)
        },
      }),
    crash() {
      for (const port of ports.keys()) disconnect(port)
      calls.crash()
      payloads.clear()
      sockets.crash()
      use((core) => core.crash())
      const release = releaseLock
      startWorker()
      release()
    },
    activity: () => events,
    calls: calls.records,
    get isOffline() {
      return isOffline
    },
    set isOffline(value) {
      isOffline = value
      if (value) sockets.cut()
    },
  }
  startWorker()
  return host
}
