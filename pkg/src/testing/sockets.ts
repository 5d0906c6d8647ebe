/** Sockets between pages and the server of a test. In a browser, the worker's src/browser/api_socket.rs serves them. */
import { REFLECTED } from '../../glue/constants.js'
import type { TestCore } from '../../glue/strongroom_testing.js'
import type { SocketData, TestSocket } from './api.js'
import { later, type WorkerPort } from './ports.js'

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
interface SocketHost {
  handle(act: (core: TestCore) => unknown): void
  use<T>(act: (core: TestCore) => T): T
  countEvent(): void
  serve(socket: TestSocket): void
}

interface Connection {
  port: WorkerPort
  server: TestSocket
  isOpen: boolean
}

/** Close codes (RFC 6455 7.4.1). */
const [NORMAL, NO_CODE, ABNORMAL] = [1000, 1005, 1006]

const bytesOf = (data: SocketData) =>
  typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data)

export interface Sockets {
  /** Starts the handshake with the server. `port` is the page's port for this socket. */
  open(output: SocketOutput, port: WorkerPort): void
  /** Sends the vault's first message. */
  sendFirst(call: number, text: string): void
  /** Tells the page that its socket is open. Returns false if the call is not a socket. */
  deliver(call: number, text: string): boolean
  /** Closes a socket because the vault closes it. */
  close(call: number, code: number, reason: string): void
  /** Closes a socket that the page no longer needs. */
  drop(call: number): void
  /** Cuts all connections. */
  cut(): void
  /** Cuts all connections of a worker that has crashed. Pages notice the crash themselves. */
  crash(): void
}

export const createSockets = ({ handle, use, countEvent, serve }: SocketHost): Sockets => {
  const all = new Map<number, Connection>()

  /** Removes a socket. Tells the page, and the server too unless the server itself has closed the socket. */
  const finish = (call: number, code: number, reason: string, isByServer = false) => {
    const connection = all.get(call)
    if (!connection) return
    all.delete(call)
    countEvent()
    if (code === ABNORMAL) connection.port.deliver(null)
    connection.port.deliver({ code, reason, wasClean: code !== ABNORMAL })
    if (!isByServer) connection.server.onclose?.(code, reason)
    return connection
  }
  /** Calls `finish()`, and reports to the core that the socket has ended. */
  const end = (call: number, code: number, reason: string, isByServer?: boolean) => {
    const connection = finish(call, code, reason, isByServer)
    if (connection)
      handle((core) => (connection.isOpen ? core.endSocket(call) : core.respondSocket(call, undefined)))
  }
  /** Removes a socket, and tells only the server. */
  const forget = (call: number, code: number) => {
    const connection = all.get(call)
    all.delete(call)
    connection?.server.onclose?.(code, '')
  }
  const isReflected = (call: number, data: SocketData) =>
    use((core) => core.containsToken(call, bytesOf(data)))

  const receive = (call: number, data: SocketData) => {
    const connection = all.get(call)
    if (!connection) return
    if (isReflected(call, data)) return end(call, REFLECTED, 'token_reflected')
    countEvent()
    connection.port.deliver([data])
  }
  const closeByServer = (call: number, code: number, reason: string) => {
    if (!all.has(call)) return
    if (isReflected(call, reason)) return end(call, REFLECTED, 'token_reflected', true)
    end(call, code, reason, true)
  }
  /** Handles a message on the page's port: see src/browser/api_socket.rs. */
  const send = (call: number, message: number | [SocketData | Blob] | { code?: number; reason?: string }) => {
    const connection = all.get(call)
    if (!connection) return
    countEvent()
    if (typeof message === 'number') connection.port.deliver(0)
    else if (Array.isArray(message)) connection.server.onmessage?.(message[0])
    else end(call, message.code ?? NO_CODE, message.reason ?? '')
  }
  const completeHandshake = (call: number, connection: Connection, isAccepted: boolean) => {
    if (all.get(call) !== connection) return
    try {
      if (!isAccepted) throw new TypeError('the access token is not valid')
      serve(connection.server)
    } catch (error) {
      if (!(error instanceof TypeError)) console.error(error)
      return end(call, ABNORMAL, '')
    }
    handle((core) => core.respondSocket(call, connection.server.protocol))
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
      const connection = { port, server, isOpen: false }
      all.set(call, connection)
      later(() => completeHandshake(call, connection, accepted))
    },
    sendFirst: (call, text) => later(() => all.get(call)?.server.onmessage?.(text)),
    deliver(call, text) {
      const connection = all.get(call)
      if (!connection) return false
      connection.isOpen = true
      connection.port.deliver(text)
      connection.port.receive = (message) => send(call, message)
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
