/**
 * The host of the core: what src/browser/host.rs is in a worker. It passes pages' messages to the core, and carries out
 * the core's output for pages and APIs.
 */
import { HANDSHAKE } from '../protocol/messages.js'
import type { TestCore } from '../../glue/strongroom_testing.js'
import { later, type Locks, type WorkerPort } from './ports.js'
import { createSockets, type SocketOutput } from './sockets.js'
import type { TestApi, TestCall, TestSocket } from './world.js'

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
interface ApiOutput {
  t: 'call'
  call: number
  port: number
  id: number
  url: string
  method: string
  authorization: string
  /** The DPoP proof, with `dpop: true`. */
  proof?: string
  /** A `RequestInit`, as JSON. Only its headers are used. */
  init: string
  /** False if the access token has expired or is revoked. */
  accepted: boolean
}

/** A call in flight. */
interface Call {
  output: ApiOutput
  controller: AbortController
  record: TestCall
  response?: Response
}

/**
 * The number of turns of the microtask queue for which a head waits for the end of the body. A vault waits for some
 * milliseconds, but the time of a test may stand still.
 */
const PATIENCE = 100

/** Posts a message to the page of a call. */
type Post = (message: unknown) => void

const turns = async (count: number) => {
  while (count--) await null
}

const concat = (chunks: Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

const REDIRECTS = [301, 302, 303, 307, 308]

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
  const inFlight = new Map<number, Call>()
  const calls: TestCall[] = []
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
      else if (output.t === 'call') begin(output)
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
  const sockets = createSockets({
    handle,
    use,
    countEvent: () => events++,
    serve: (server) => socket!(server),
  })
  const openSocket = (output: SocketOutput) => {
    const { call, port, id, url, accepted } = output
    if (socket)
      return sockets.open(
        { ...output, accepted: accepted && !host.isOffline },
        payloads.get(call) as WorkerPort,
      )
    refuse(port, id, 'socket', new URL(url).origin)
    handle((core) => core.respondSocket(call, undefined))
  }
  const disconnect = (port: number) => {
    ports.get(port)?.close()
    ports.delete(port)
  }
  const drop = (call: number) => {
    inFlight.get(call)?.controller.abort()
    inFlight.delete(call)
    payloads.delete(call)
    sockets.drop(call)
  }

  const begin = (output: ApiOutput) => {
    const { call, method, url, init } = output
    const { headers } = JSON.parse(init) as { headers: [string, string][] }
    inFlight.get(call)?.controller.abort()
    const record: TestCall = { method, url, headers: Object.fromEntries(headers), status: null }
    calls.push(record)
    const state: Call = { output, controller: new AbortController(), record }
    inFlight.set(call, state)
    respond(state).then(
      (response) => isCurrent(state) && arrive(state, response),
      (error) => {
        if (!(error instanceof TypeError)) console.error(error)
        if (isCurrent(state)) handle((core) => core.respond(call, undefined))
      },
    )
  }
  const isCurrent = (state: Call) => inFlight.get(state.output.call) === state

  /** Lets the test's API respond, unless the network or the access token makes that impossible. */
  const respond = async (state: Call): Promise<Response> => {
    const { record } = state
    const { call, method, url, authorization, proof, accepted, port, id } = state.output
    if (host.isOffline) throw new TypeError('the device is offline')
    if (!accepted) {
      const headers = { 'www-authenticate': `${proof ? 'DPoP' : 'Bearer'} error="invalid_token"` }
      return new Response(null, { status: 401, headers })
    }
    if (!api) {
      throw new TypeError(refuse(port, id, 'api', `${method} ${url}`))
    }
    const body = payloads.get(call) as BodyInit | undefined
    const duplex = body instanceof ReadableStream ? { duplex: 'half' } : {}
    const request = new Request(url, { method, headers: record.headers, ...(body && { body }), ...duplex })
    request.headers.set('authorization', authorization)
    if (proof) request.headers.set('dpop', proof)
    const response = await api(request)
    if (typeof response?.status !== 'number') {
      throw new Error(
        `the function \`api\` of testWorld() returned ${String(response)} for ${method} ${url}: return a Response`,
      )
    }
    // `Response.error()` is a network failure.
    if (response.type === 'error') throw new TypeError('network error')
    return response
  }

  const arrive = (state: Call, response: Response) => {
    const { call, url } = state.output
    events++
    state.record.status = response.status
    state.response = response
    const head = [...response.headers].flat().join(',')
    const isRedirect = REDIRECTS.includes(response.status)
    handle((core) => {
      if (core.isInHead(call, head + response.statusText)) return core.reflect(call)
      core.respond(call, {
        // The vault's host never follows a redirect, and a redirect that is not followed has status 0.
        status: isRedirect ? 0 : response.status,
        statusText: response.statusText,
        url: response.url || url.replace(/#.*/, ''),
        redirected: response.redirected,
        hasBody: !!response.body,
        wwwAuthenticate: response.headers.get('www-authenticate') ?? undefined,
        dpopNonce: response.headers.get('dpop-nonce') ?? undefined,
      })
    })
  }

  const deliver = (call: number, text: string) => {
    if (sockets.deliver(call, text)) return
    const state = inFlight.get(call)
    const response = state?.response
    if (!response) return
    const { port } = state.output
    const post: Post = (message) => {
      events++
      ports.get(port)?.deliver(message)
    }
    const all = [...response.headers]
    const isSearched = core.searchesBody(call)
    const longest = core.longestWhole(call, response.headers.get('content-type') ?? undefined)
    const postHead = (body?: Uint8Array) => {
      const isTold = !isSearched || body?.length
      post([text, [isTold ? all : all.filter(([name]) => name.toLowerCase() !== 'content-length'), body]])
    }
    if (!response.body || longest === undefined) postHead()
    later(() =>
      response.body
        ? sendBody(state, response.body, post, longest === undefined ? undefined : { postHead, longest })
        : handle((core) => core.endBody(call)),
    )
  }
  /**
   * Posts a body. If `head` is given, the head waits for the end of the body. Head and held bytes wait as in
   * src/egress/body_delivery.rs.
   */
  const sendBody = async (
    state: Call,
    body: ReadableStream<Uint8Array>,
    post: Post,
    head?: { postHead: (body?: Uint8Array) => void; longest: number },
  ) => {
    const { call, id } = state.output
    const reader = body.getReader()
    const kept: Uint8Array[] = []
    let length = 0
    /** Posts the bytes that the core passes on. Returns false if the body contains a token. */
    const pass = (chunk: Uint8Array | undefined): boolean => {
      const passed = use((core) => core.passChunk(call, chunk))
      if (passed && head) kept.push(passed)
      else if (passed?.length) post([id, passed])
      return !!passed
    }
    /** Posts the bytes that the core holds back if the next chunk does not arrive for a while. */
    const read = () => {
      let isWaiting = true
      const reading = reader.read().finally(() => (isWaiting = false))
      void turns(PATIENCE).then(() => {
        if (!isWaiting || head || !isCurrent(state)) return
        const held = use((core) => core.passAfterPause(call))
        if (held.length) post([id, held])
      })
      return reading
    }
    /** Posts the head without waiting longer, and then what has arrived of the body. */
    const endWait = () => {
      if (!head || !isCurrent(state)) return
      head.postHead()
      head = undefined
      for (const chunk of kept) if (chunk.length) post([id, chunk])
    }
    state.controller.signal.addEventListener('abort', () => void reader.cancel().catch(() => {}))
    const waited = turns(PATIENCE).then(endWait)
    try {
      for (;;) {
        const { done, value } = await read()
        if (!isCurrent(state)) return
        if (!pass(value)) {
          kept.length = 0
          if (head) await waited
          if (isCurrent(state)) handle((core) => core.reflect(call))
          return
        }
        length += value?.length ?? 0
        if (head && length > head.longest) endWait()
        if (!done) continue
        if (head) head.postHead(concat(kept))
        else post([id, null])
        break
      }
    } catch {
      endWait()
      post([id, false])
    }
    handle((core) => core.endBody(call))
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
      for (const call of inFlight.keys()) drop(call)
      sockets.crash()
      use((core) => core.crash())
      const release = releaseLock
      startWorker()
      release()
    },
    activity: () => events,
    calls,
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
