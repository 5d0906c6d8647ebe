/** Calls of APIs. In a browser, the worker's src/browser/api_call.rs sends them. */
import type { TestCore } from '../../glue/strongroom_testing.js'
import type { TestApi, TestCall } from './api.js'
import { later, type WorkerPort } from './ports.js'

/** A request of the core: see tests/kit/src/bindings.rs. */
export interface ApiOutput {
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

/** Parts of the host that calls use. */
interface CallHost {
  core: TestCore
  use<T>(act: (core: TestCore) => T): T
  handle(act: (core: TestCore) => unknown): void
  countEvent(): void
  isOffline(): boolean
  port(port: number): WorkerPort | undefined
  /** Returns the body of a call's request. */
  payload(call: number): unknown
  /** Rejects a page's request, because the test has no function that responds to it. Returns the message. */
  refuse(port: number, id: number, option: 'api', what: string): string
  api: TestApi | undefined
}

export interface Calls {
  /** All calls so far. */
  readonly records: TestCall[]
  begin(output: ApiOutput): void
  /** Passes a response to its page: first its head, which is `text`, and then its body. */
  deliver(call: number, text: string): void
  /** Aborts a call that its page no longer needs. */
  drop(call: number): void
  /** Aborts all calls of a worker that has crashed. */
  crash(): void
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

export const createCalls = (host: CallHost): Calls => {
  const { core, handle } = host
  const inFlight = new Map<number, Call>()
  const records: TestCall[] = []

  const begin = (output: ApiOutput) => {
    const { call, method, url, init } = output
    const { headers } = JSON.parse(init) as { headers: [string, string][] }
    inFlight.get(call)?.controller.abort()
    const record: TestCall = { method, url, headers: Object.fromEntries(headers), status: null }
    records.push(record)
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
    if (host.isOffline()) throw new TypeError('the device is offline')
    if (!accepted) {
      const headers = { 'www-authenticate': `${proof ? 'DPoP' : 'Bearer'} error="invalid_token"` }
      return new Response(null, { status: 401, headers })
    }
    if (!host.api) {
      throw new TypeError(host.refuse(port, id, 'api', `${method} ${url}`))
    }
    const body = host.payload(call) as BodyInit | undefined
    const duplex = body instanceof ReadableStream ? { duplex: 'half' } : {}
    const request = new Request(url, { method, headers: record.headers, ...(body && { body }), ...duplex })
    request.headers.set('authorization', authorization)
    if (proof) request.headers.set('dpop', proof)
    const response = await host.api(request)
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
    host.countEvent()
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
        hasRange: response.headers.has('content-range'),
      })
    })
  }

  const deliver = (call: number, text: string) => {
    const state = inFlight.get(call)
    const response = state?.response
    if (!response) return
    const { port } = state.output
    const post: Post = (message) => {
      host.countEvent()
      host.port(port)?.deliver(message)
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
        ? sendBody(
            host,
            () => isCurrent(state),
            state,
            response.body,
            post,
            longest === undefined ? undefined : { postHead, longest },
          )
        : handle((core) => core.endBody(call)),
    )
  }

  const drop = (call: number) => {
    inFlight.get(call)?.controller.abort()
    inFlight.delete(call)
  }
  const crash = () => {
    for (const call of inFlight.keys()) drop(call)
  }
  return { records, begin, deliver, drop, crash }
}

/**
 * Posts a body. If `head` is given, the head waits for the end of the body. Head and held bytes wait as in
 * src/rules/egress/body_delivery.rs.
 */
const sendBody = async (
  { use, handle }: Pick<CallHost, 'use' | 'handle'>,
  isCurrent: () => boolean,
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
      if (!isWaiting || head || !isCurrent()) return
      const held = use((core) => core.passAfterPause(call))
      if (held.length) post([id, held])
    })
    return reading
  }
  /** Posts the head without waiting longer, and then what has arrived of the body. */
  const endWait = () => {
    if (!head || !isCurrent()) return
    head.postHead()
    head = undefined
    for (const chunk of kept) if (chunk.length) post([id, chunk])
  }
  state.controller.signal.addEventListener('abort', () => void reader.cancel().catch(() => {}))
  const waited = turns(PATIENCE).then(endWait)
  try {
    for (;;) {
      const { done, value } = await read()
      if (!isCurrent()) return
      if (!pass(value)) {
        kept.length = 0
        if (head) await waited
        if (isCurrent()) handle((core) => core.reflect(call))
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
