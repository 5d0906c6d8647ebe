/**
 * The requests of the doctor. They use Node's own clients, because the platform's `fetch` overwrites `Sec-Fetch-Mode`
 * and follows redirects in ways that hide what a browser would see.
 */
import { Buffer } from 'node:buffer'
import { lookup } from 'node:dns'
import { request as sendHttp } from 'node:http'
import { request as sendHttps } from 'node:https'
import { BlockList, isIP } from 'node:net'
import { brotliDecompressSync, constants, inflateSync, unzipSync } from 'node:zlib'

/** The time limit of a request, from its start to the last byte, in milliseconds. */
const TIME_LIMIT = 10_000

/** The longest body that is kept, in bytes. */
const LONGEST_BODY = 1024 * 1024

/** The name with which the doctor introduces itself. */
const USER_AGENT = 'strongroom-doctor'

/** The number of requests after which the doctor sends no more. */
const MOST_REQUESTS = 100

/** A request. */
export interface Asked {
  method?: string
  headers?: Record<string, string>
  /** The body of a form. */
  form?: Record<string, string>
  /** False if only the head of the response matters. Default true. */
  readsBody?: boolean
}

/** A response, or the reason for its absence. */
export interface Reply {
  url: string
  /** 0 if there is no response. */
  status: number
  header(name: string): string | undefined
  /** The values of `Set-Cookie`. */
  cookies: string[]
  /** All header values, one a line. */
  head: string
  /** The body without its coding. Empty if it cannot be decoded. */
  bytes: Uint8Array<ArrayBuffer>
  /** The body as text. */
  body: string
  /** True if the body is too long and was cut: what it lacks may be in the rest. */
  isPartial?: boolean
  /** The absolute address of a redirect, which is not followed. */
  redirect?: string
  /** The seconds by which the server's clock is ahead of this device's, unless a cache may have kept its time. */
  ahead?: number
  /** The reason why there is no response. */
  failure?: string
  /** True if nothing responds there, for the doctor as for everybody else. Other failures may be the doctor's own. */
  isDown?: boolean
}

const PRIVATE = new BlockList()
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  PRIVATE.addSubnet(net, bits, 'ipv4')
}
for (const [net, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
  // Addresses that a translator turns into IPv4.
  ['64:ff9b::', 96],
  ['2002::', 16],
] as const) {
  PRIVATE.addSubnet(net, bits, 'ipv6')
}

/** Returns true for an address that is not on the public Internet. */
export const isPrivateAddress = (address: string): boolean => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  return isIP(mapped) === 4 ? PRIVATE.check(mapped, 'ipv4') : PRIVATE.check(mapped, 'ipv6')
}

/** Returns the address in a URL's host, or `undefined` for a name. */
const literal = ({ hostname }: URL): string | undefined => {
  const address = hostname.replace(/^\[|\]$/g, '')
  if (!isIP(address)) return undefined
  // Node writes an IPv4 address in an IPv6 one with hexadecimal digits.
  const hex = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/i.exec(address)
  if (!hex) return address
  const [high, low] = [parseInt(hex[1]!, 16), parseInt(hex[2]!, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** Returns true if the URL itself is private: a private address, or a name of this machine. */
export const isPrivateUrl = (url: URL): boolean => {
  const address = literal(url)
  return address === undefined ? /(^|\.)localhost\.?$/.test(url.hostname) : isPrivateAddress(address)
}

const refusal = (host: string, address: string) =>
  new Error(
    `${host} has the private address ${address}, to which no request is sent: add --allow-private if it is your own network`,
  )

/** The headers of a request by script of another origin. */
export const crossOrigin = (origin: string): Record<string, string> => ({
  Origin: origin,
  'Sec-Fetch-Mode': 'cors',
  'Sec-Fetch-Site': 'cross-site',
})

/** Returns a value that cannot be guessed. */
export const random = (): string => crypto.randomUUID().replaceAll('-', '')

/** Sends requests, and counts them. */
export class Requests {
  count = 0
  readonly #allowsPrivate: boolean
  /** The origins that have not responded in time, and apart those of preflights. One wait for each of them is enough. */
  readonly #silent = new Set<string>()

  readonly #userAgent: string

  constructor(allowsPrivate: boolean, userAgent = USER_AGENT) {
    this.#allowsPrivate = allowsPrivate
    this.#userAgent = userAgent
  }

  /** Sends a request. Resolves with a response without status if it fails. Follows no redirect. */
  async send(address: string, asked: Asked = {}): Promise<Reply> {
    try {
      return await this.#send(new URL(address), asked)
    } catch (error) {
      const failure = error as Failure
      return { ...NOTHING, url: address, failure: reason(failure), isDown: isDown(failure) }
    }
  }

  async #send(url: URL, { method = 'GET', headers = {}, form, readsBody = true }: Asked): Promise<Reply> {
    if (!/^https?:$/.test(url.protocol)) throw new Error(`${url.protocol} is not requested`)
    const address = literal(url)
    if (address !== undefined && !this.#allowsPrivate && isPrivateAddress(address)) {
      throw refusal(url.hostname, address)
    }
    const peer = (method === 'OPTIONS' ? 'a preflight of ' : '') + url.origin
    if (this.#silent.has(peer)) throw silence(`not sent, because ${peer} has not responded before`)
    if (this.count >= MOST_REQUESTS) throw new Error(`not sent, because ${MOST_REQUESTS} requests are enough`)
    this.count++
    const body = form && new URLSearchParams(form).toString()
    const options = {
      method,
      agent: false as const,
      headers: {
        Accept: '*/*',
        'User-Agent': this.#userAgent,
        ...(body !== undefined && {
          'Content-Type': 'application/x-www-form-urlencoded',
          'Content-Length': String(body.length),
        }),
        ...headers,
      },
      lookup: this.#lookup,
    }
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'https:' ? sendHttps : sendHttp
      const request = send(url, options, (response) => {
        read(url, response, readsBody).then((reply) => {
          clearTimeout(timer)
          request.destroy()
          resolve(reply)
        }, reject)
      })
      const timer = setTimeout(() => {
        this.#silent.add(peer)
        request.destroy(silence(`no complete response within ${TIME_LIMIT / 1000} s`))
      }, TIME_LIMIT)
      request.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      request.end(body)
    })
  }

  /** Looks up a name, and refuses private addresses. The connection then uses these addresses, and no others. */
  readonly #lookup: Lookup = (host, options, callback) =>
    // Browsers find every name that ends in `.localhost` on this machine. The system may not.
    lookup(
      host.endsWith('.localhost') ? 'localhost' : host,
      { ...options, all: true },
      (error, addresses) => {
        if (error) return callback(error)
        const found = addresses!.find(({ address }) => isPrivateAddress(address))
        if (found && !this.#allowsPrivate) return callback(refusal(host, found.address))
        if (options.all) return callback(null, addresses)
        return callback(null, addresses![0]!.address, addresses![0]!.family)
      },
    )
}

type Lookup = Parameters<typeof sendHttp>[1]['lookup']

const NOTHING: Reply = {
  url: '',
  status: 0,
  header: () => undefined,
  cookies: [],
  head: '',
  bytes: new Uint8Array(),
  body: '',
}

type Failure = Error & { code?: string; errors?: Failure[] }

/** The code of Node for a server that takes too long. */
const TIMED_OUT = 'ETIMEDOUT'

/** The error of a server that takes too long. */
const silence = (message: string): Failure => Object.assign(new Error(message), { code: TIMED_OUT })

/** Returns true for an error that everybody gets. Browsers may know another authority, and read what Node refuses. */
const isDown = ({ code, errors = [] }: Failure): boolean =>
  /^(ECONNREFUSED|EHOSTUNREACH|ENOTFOUND|ETIMEDOUT|CERT_HAS_EXPIRED|ERR_TLS_CERT_ALTNAME_INVALID)$/.test(
    code ?? '',
  ) || errors.some(isDown)

/** Returns a reason that is never empty: an error for several addresses has no message of its own. */
const reason = ({ message, code, errors }: Failure): string =>
  message || errors?.map(reason).join('; ') || code || 'the connection failed'

const read = async (
  url: URL,
  response: Parameters<Parameters<typeof sendHttp>[2]>[0],
  readsBody: boolean,
): Promise<Reply> => {
  const { headers, statusCode: status = 0 } = response
  const header = (name: string) => {
    const value = headers[name.toLowerCase()]
    return Array.isArray(value) ? value.join(', ') : value
  }
  const ahead = Math.round((Date.parse(header('date') ?? '') - Date.now()) / 1000)
  const chunks: Uint8Array[] = []
  let size = 0
  if (readsBody) {
    for await (const chunk of response) {
      chunks.push(chunk)
      size += chunk.length
      if (size > LONGEST_BODY) break
    }
  }
  const whole = decoded(Buffer.concat(chunks), header('content-encoding') ?? '')
  const bytes = whole ?? new Uint8Array()
  const location = header('location')
  const isRedirect = status >= 300 && status < 400 && location !== undefined && URL.canParse(location, url)
  const cookies = headers['set-cookie']
  return {
    url: url.href,
    status,
    header,
    cookies: Array.isArray(cookies) ? cookies : [],
    head: Object.keys(headers).map(header).join('\n'),
    bytes,
    body: new TextDecoder().decode(bytes),
    isPartial: size > LONGEST_BODY || !whole,
    ...(isRedirect && { redirect: new URL(location, url).href }),
    ...(header('age') === undefined && !Number.isNaN(ahead) && { ahead }),
  }
}

/** The codings that browsers ask for, and how each is removed. */
const CODINGS: Record<string, typeof unzipSync> = {
  br: brotliDecompressSync,
  deflate: inflateSync,
  gzip: unzipSync,
}

/** Returns a body without its coding, also of a body that was cut, or `undefined` if the result is too long. */
const decoded = (bytes: Uint8Array<ArrayBuffer>, coding: string): Uint8Array<ArrayBuffer> | undefined => {
  const decode = CODINGS[coding.toLowerCase()]
  if (!decode || !bytes.length) return bytes
  const { BROTLI_OPERATION_FLUSH, Z_SYNC_FLUSH } = constants
  const finishFlush = decode === brotliDecompressSync ? BROTLI_OPERATION_FLUSH : Z_SYNC_FLUSH
  try {
    return decode(bytes, { finishFlush, maxOutputLength: 4 * LONGEST_BODY })
  } catch (error) {
    return (error as Failure).code === 'ERR_BUFFER_TOO_LARGE' ? undefined : new Uint8Array()
  }
}

/** Returns the JSON object in a response, or `undefined`. */
export const jsonOf = ({ body }: Reply): Record<string, unknown> | undefined => {
  try {
    const value = JSON.parse(body)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns the code of a token handler's own error. */
export const codeOf = (reply: Reply): string | undefined => {
  const error = jsonOf(reply)?.['error'] as { code?: unknown } | undefined
  return typeof error?.code === 'string' ? error.code : undefined
}

/** Returns what was seen of a response, in a few words. */
export const seenOf = ({ status, redirect, failure, header, isPartial }: Reply): string => {
  if (failure !== undefined) return failure
  if (redirect !== undefined) return `${status}, a redirect to ${redirect}, which was not followed`
  const type = header('content-type')
  return `${status}${type === undefined ? '' : ` ${type}`}${isPartial ? ', not read to its end' : ''}`
}

/** Returns the line of a header as it was seen. */
export const seenHeader = ({ header }: Reply, name: string): string => {
  const value = header(name)
  return value === undefined ? `no ${name}` : `${name}: ${value}`
}

/** Returns the seconds that a cache has kept a response, or 0. Some caches mark each response that they pass on with 0. */
export const ageOf = ({ header }: Reply): number => Number(header('age')) || 0

/** The values of `Referrer-Policy`. */
const REFERRER =
  /^(no-referrer(-when-downgrade)?|same-origin|(strict-)?origin(-when-cross-origin)?|unsafe-url)$/

/**
 * Returns the value of a header that counts for browsers. Two layers may both have sent it: browsers then
 * take the first value, the same value once, the last one that they know, or none, as the standard of the header says.
 */
export const valueOf = (reply: Reply, name: string): string | undefined => {
  const [first, ...others] = listOf(reply, name)
  switch (name) {
    case 'X-Content-Type-Options':
      return first
    case 'X-Frame-Options':
      return others.every((one) => one === first) ? first : undefined
    case 'Referrer-Policy':
      return [...others.reverse(), first].find((one) => REFERRER.test(one!))
    default:
      // A single value with parameters, in which the case matters (RFC 9651 3.3).
      return others.length ? undefined : reply.header(name)?.split(';')[0]!.trim()
  }
}

/** Returns the members of a list, such as the methods of a header, in lower case. */
export const listOf = ({ header }: Reply, name: string): string[] =>
  (header(name) ?? '')
    .toLowerCase()
    .split(',')
    .map((one) => one.trim())

/** Returns the line of a header with a list: what was seen, and the members that it must have. */
export const completed = (reply: Reply, name: string, members: string[]): string => {
  const seen = listOf(reply, name)
  const missing = members.filter((one) => !seen.includes(one.toLowerCase()))
  return `${name}: ${[reply.header(name), ...missing].filter(Boolean).join(', ')}`
}

/** Returns the first words of a text. */
export const firstWords = (text: string): string =>
  text.length > 200 ? text.slice(0, 200).replace(/ \S*$/, ' …') : text

/** The part of a page whose text is read, in characters. A page could make the search for the end of tags slow. */
const LONGEST_TEXT = 64 * 1024

/** Returns what a page shows, on one line. */
export const textOf = ({ body }: Reply): string =>
  body
    .slice(0, LONGEST_TEXT)
    .replace(/<(script|style|head)\b[^]*?<\/\1>|<[^>]*>/gi, ' ')
    .replace(/&#0?39;/g, "'")
    .replace(/\s+/g, ' ')
    .trim()
