/** Sockets between pages and the server of a test: what src/browser/api_socket.rs is in a worker. */
import type { TestCore } from '../../glue/strongroom_testing.js'
import { later, type WorkerPort } from './ports.js'
import type { SocketData, TestSocket } from './world.js'

/** A handshake: see tests/kit/src/bindings.rs. */
export interface SocketOutput {
  t: 'socket'
  call: number
  port: number
  id: number
  url: string
  /** A JSON array. */
  protocols: string
  /** False if the access token has expired or is revoked. */
  accepted: boolean
}

/** Parts of the host that sockets use. */
interface Uses {
  handle(act: (core: TestCore) => unknown): void
  use<T>(act: (core: TestCore) => T): T
  /** Counts an event. */
  note(): void
  serve(socket: TestSocket): void
}

interface Known {
  port: WorkerPort
  server: TestSocket
  isOpen: boolean
}

/** Close codes. The last one is the vault's own: see src/browser/api_socket.rs. */
const [NORMAL, NO_CODE, ABNORMAL, REFLECTED] = [1000, 1005, 1006, 4010]

const bytesOf = (data: SocketData) =>
  typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data)

export interface Sockets {
  /** Asks the server for a socket. `port` is the page's port for this socket. */
  open(output: SocketOutput, port: WorkerPort): void
  /** Sends the vault's first message. */
  sendFirst(call: number, text: string): void
  /** Tells the page that its socket is open. Returns false if the call is not a socket. */
  deliver(call: number, text: string): boolean
  /** Closes a socket for the vault. */
  close(call: number, code: number, reason: string): void
  /** Closes a socket that the page no longer needs. */
  drop(call: number): void
  /** Cuts all connections. */
  cut(): void
  /** Cuts all connections of a worker that has crashed. Pages learn of it from the crash. */
  crash(): void
}

export const createSockets = ({ handle, use, note, serve }: Uses): Sockets => {
  const all = new Map<number, Known>()

  /** Forgets a socket, and tells the page and, unless the server itself has closed the socket, the server. */
  const finish = (call: number, code: number, reason: string, isByServer = false) => {
    const known = all.get(call)
    if (!known) return
    all.delete(call)
    note()
    if (code === ABNORMAL) known.port.deliver(null)
    known.port.deliver({ code, reason, wasClean: code !== ABNORMAL })
    if (!isByServer) known.server.onclose?.(code, reason)
    return known
  }
  /** As `finish()`, for an end that the core does not know of yet. */
  const end = (call: number, code: number, reason: string, isByServer?: boolean) => {
    const known = finish(call, code, reason, isByServer)
    if (known) handle((core) => (known.isOpen ? core.endSocket(call) : core.respondSocket(call, undefined)))
  }
  /** Tells only the server. */
  const forget = (call: number, code: number) => {
    const known = all.get(call)
    all.delete(call)
    known?.server.onclose?.(code, '')
  }
  const isReflected = (call: number, data: SocketData) => use((core) => core.isInMessage(call, bytesOf(data)))

  const receive = (call: number, data: SocketData) => {
    const known = all.get(call)
    if (!known) return
    if (isReflected(call, data)) return end(call, REFLECTED, 'token_reflected')
    note()
    known.port.deliver([data])
  }
  const closeByServer = (call: number, code: number, reason: string) => {
    if (!all.has(call)) return
    if (isReflected(call, reason)) return end(call, REFLECTED, 'token_reflected', true)
    end(call, code, reason, true)
  }
  /** Handles a message on the page's port: see src/browser/api_socket.rs. */
  const send = (call: number, message: number | [SocketData | Blob] | { code?: number; reason?: string }) => {
    const known = all.get(call)
    if (!known) return
    note()
    if (typeof message === 'number') known.port.deliver(0)
    else if (Array.isArray(message)) known.server.onmessage?.(message[0])
    else end(call, message.code ?? NO_CODE, message.reason ?? '')
  }
  const shake = (call: number, known: Known, isAccepted: boolean) => {
    if (all.get(call) !== known) return
    try {
      if (!isAccepted) throw new TypeError('the access token is not valid')
      serve(known.server)
    } catch (error) {
      if (!(error instanceof TypeError)) console.error(error)
      return end(call, ABNORMAL, '')
    }
    handle((core) => core.respondSocket(call, known.server.protocol))
  }

  return {
    open({ call, url, protocols, accepted }, port) {
      const server: TestSocket = {
        url,
        protocols: JSON.parse(protocols),
        protocol: '',
        onmessage: null,
        onclose: null,
        send: (data) => later(() => receive(call, data)),
        close: (code = NORMAL, reason = '') => later(() => closeByServer(call, code, reason)),
      }
      const known = { port, server, isOpen: false }
      all.set(call, known)
      later(() => shake(call, known, accepted))
    },
    sendFirst: (call, text) => later(() => all.get(call)?.server.onmessage?.(text)),
    deliver(call, text) {
      const known = all.get(call)
      if (!known) return false
      known.isOpen = true
      known.port.deliver(text)
      known.port.receive = (message) => send(call, message)
      return true
    },
    close: finish,
    drop: (call) => forget(call, NO_CODE),
    cut() {
      for (const call of [...all.keys()]) end(call, ABNORMAL, '')
    },
    crash() {
      for (const call of [...all.keys()]) forget(call, ABNORMAL)
    },
  }
}
