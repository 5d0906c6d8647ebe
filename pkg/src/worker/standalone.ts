/**
 * A complete worker file, which needs no bundler. It reads the vault's configuration from `strongroom.json` in its own
 * folder:
 *
 * ```
 * /strongroom/standalone.js
 * /strongroom/strongroom_bg.wasm
 * /strongroom/strongroom.json      { "issuer": "https://id.example.com", "clientId": "spa", … }
 * ```
 *
 * The configuration decides where tokens are sent. A script in the page can start this worker with any query, name or
 * message, so none of these has an effect, except that the name may be the number of an account: the name of the file is fixed,
 * and its folder is the folder of the worker's own URL. docs/standalone.md has the complete list of rules.
 *
 * @module
 */
import { MAX_CONFIG } from '../../glue/constants.js'
import { type Failure, repeat } from '../protocol/repeat.js'
import { timeoutSignal } from '../protocol/signals.js'
import { isFinal, requestModule, TIME_LIMIT } from './wasm.js'
import { end, vault, type VaultFailure } from './worker.js'
import type { VaultConfig } from './config.js'

/** The name of the configuration's file. */
const NAME = 'strongroom.json'

const unavailable = (message: string, status?: number): VaultFailure & Failure => ({
  code: 'config_unavailable',
  message,
  isFinal: isFinal(status),
})
const invalid = (message: string): VaultFailure & Failure => ({
  code: 'config_invalid',
  message,
  isFinal: true,
})
const unsupported = (message: string): VaultFailure => ({ code: 'unsupported', message })

/**
 * Returns the configuration's URL.
 *
 * This file must be the worker's own file. In another worker, such as one from a `blob:` URL, the folder would not be
 * fixed. Some servers decode `%2F` before they look up a file, some even `%252F`. The browser does not, so the URL with
 * such a slash would have another folder in the browser than on the server.
 */
const locate = (): URL => {
  const own = new URL(import.meta.url)
  if (own.origin !== location.origin || own.pathname !== location.pathname) {
    throw unsupported(
      `${own.origin}${own.pathname} was imported by another worker: start a worker from this URL`,
    )
  }
  if (own.pathname.includes('%')) {
    throw unsupported(`the path of the worker's URL has an encoded character: ${own.pathname}`)
  }
  return new URL(NAME, own)
}

/**
 * Requests the configuration. A redirect is not followed. The HTTP cache is not used, because it may contain an earlier
 * version, and script of the page decides when a version is stored there.
 */
const request = async (url: URL, signal: AbortSignal): Promise<Response> => {
  const response = await fetch(url, { mode: 'same-origin', redirect: 'manual', cache: 'no-store', signal })
  if (response.type === 'opaqueredirect') throw unavailable(`the server redirects ${url}`)
  if (!response.ok)
    throw unavailable(`the server responds to ${url} with ${response.status}`, response.status)
  const type = response.headers.get('content-type') ?? ''
  if (!/^application\/json *(;|$)/i.test(type)) {
    throw unavailable(`${url} is served as '${type}' instead of 'application/json'`)
  }
  return response
}

const read = async ({ body }: Response, url: URL): Promise<string> => {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const reader = body!.getReader()
  let text = ''
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > MAX_CONFIG) {
      void reader.cancel()
      throw unavailable(`${url} is larger than ${MAX_CONFIG} bytes`)
    }
    text += decode(() => decoder.decode(value, { stream: true }), url)
  }
  return text + decode(() => decoder.decode(), url)
}

const decode = (decoded: () => string, url: URL): string => {
  try {
    return decoded()
  } catch {
    throw invalid(`${url} is not UTF-8`)
  }
}

const parse = (text: string, url: URL): VaultConfig => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(`${url} is not valid JSON: ${(error as Error).message}`)
  }
}

/** Loads the configuration. Rejects with an error for {@link repeat}. */
const attempt = async (url: URL, signal: AbortSignal): Promise<VaultConfig> => {
  try {
    return parse(await read(await request(url, signal), url), url)
  } catch (error) {
    const { code, name, message } = error as VaultFailure & Error
    if (typeof code === 'string') throw error
    throw name === 'TimeoutError'
      ? unavailable(`${url} did not arrive within ${TIME_LIMIT} s`)
      : unavailable(`${url} could not be fetched: ${message}`)
  }
}

const load = async (): Promise<VaultConfig> => {
  const url = locate()
  const next = (deadline: number) => attempt(url, timeoutSignal(Math.max(deadline - performance.now(), 0)))
  return repeat(next, performance.now() + TIME_LIMIT * 1000)
}

if ('WorkerGlobalScope' in globalThis) {
  const config = load()
  // The module is requested while the configuration is loaded, which saves a round trip. `vault()` tells about a failure.
  const wasm = requestModule(new URL('./strongroom_bg.wasm', import.meta.url))
  wasm.catch(() => {})
  config.then(
    (config) => vault(config, { wasm }),
    (error) => end(typeof error.code === 'string' ? error : unsupported(error.message)),
  )
}
