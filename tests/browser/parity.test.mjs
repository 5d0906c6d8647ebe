// `auth.fetch` behaves like `fetch`. Each entry of `rows` runs twice in one page: with the page's own fetch, to which
// the test gives the vault's access token, and with `auth.fetch`. Both runs must have the same result.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { signIn, startApp } from '../support/app.mjs'
import { listen } from '../support/listen.mjs'
import { mostly } from '../support/retries.mjs'
import { until } from '../support/until.mjs'

let app
let page
let addresses

before(async () => {
  app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
  const other = `${await nowhere()}/`
  app.site.connectSrc.push(other)
  app.site.pageCsp += ` ${other}`
  app.setConfig({ apis: [...app.config.apis, { url: other }] })
  addresses = { api: app.api.url, nobody: other }
  page = await app.open()
  await signIn(page)
  await page.evaluate(prepare, app.ledger.newest('access_token').value)
})

after(() => app?.close())

/** Resolves with an origin where no server listens. */
async function nowhere() {
  const server = await listen({ handler() {} })
  await server.close()
  return server.origin
}

/** Defines the two fetch functions, and functions that describe a response. This function runs in the page. */
function prepare(token) {
  globalThis.fetches = {
    async plain(input, init) {
      const request = new Request(input, init)
      request.headers.set('authorization', `Bearer ${token}`)
      return fetch(request)
    },
    // `auth.fetch` is bound, so it can be called without `auth`.
    vault: auth.fetch,
  }
  globalThis.head = (response) => ({
    kind: Object.prototype.toString.call(response),
    isResponse: response instanceof Response,
    status: response.status,
    statusText: response.statusText,
    ok: response.ok,
    type: response.type,
    url: response.url,
    redirected: response.redirected,
    headers: [...response.headers].filter(([name]) => name !== 'date'),
    body: response.body === null ? null : Object.prototype.toString.call(response.body),
    bodyUsed: response.bodyUsed,
  })
  globalThis.look = async (response) => ({ ...head(response), text: await response.text() })
  // Two groups of headers differ. Chromium's pages send headers that name the browser, and its shared workers do not.
  // The vault's calls have headers that bypass the HTTP cache (docs/fetch.md).
  globalThis.echo = async (response) => {
    const seen = await response.json()
    return {
      ...seen,
      headers: seen.headers.filter((name) => !/^(sec-ch-ua.*|cache-control|pragma)$/.test(name)),
    }
  }
  // By the Fetch standard, the body of these responses is null. Chromium returns an empty body.
  globalThis.empty = async (response) => ({ ...(await look(response)), body: undefined })
  globalThis.failure = async (promise) => {
    try {
      await promise
      return { name: 'it succeeded' }
    } catch (error) {
      return { name: error?.name, isTypeError: error instanceof TypeError, error: String(error) }
    }
  }
  globalThis.digestOf = async (bytes) =>
    btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))))
  globalThis.digest = async (text) => `sha256-${await digestOf(new TextEncoder().encode(text))}`
  globalThis.pattern = (size) => Uint8Array.from({ length: size }, (_, index) => (index * 31) % 251)
  globalThis.form = () => {
    const form = new FormData()
    form.append('name', 'first')
    form.append('name', 'second')
    form.append('file', new File([pattern(70_000)], 'a "quoted" name.bin', { type: 'image/png' }))
    form.append('file', new File(['text'], 'ünïcode.txt', { type: 'text/plain' }))
    form.append('empty', '')
    return form
  }
  // The boundary between a form's parts is random.
  globalThis.fields = async (response) => {
    const { type, fields } = await response.json()
    return { type: type.replace(/boundary=.*/, ''), fields }
  }
}

const post = (body, more = '') => `{ method: 'POST', body: ${body}, ${more} }`

/**
 * The rows of the comparison. Each row has a name, and an expression that runs in the page with `fetch` and the URLs.
 */
const rows = {
  'GET of JSON': `look(await fetch(api + 'orders'))`,
  'a query is kept, a fragment is not sent': `echo(await fetch(api + 'echo?a=1&a=2&b=%20#part'))`,
  'a URL object': `look(await fetch(new URL('me', api)))`,
  'a Request object': `look(await fetch(new Request(api + 'me', { cache: 'no-store' })))`,
  'a Request object changed by init': `echo(await fetch(new Request(api + 'echo'), { method: 'PUT', body: 'x' }))`,
  'a Request object with a body': `look(await fetch(new Request(api + 'upload', ${post(`'from a Request'`)})))`,
  'a Request object with a form': `fields(await fetch(new Request(api + 'upload', ${post('form()')})))`,
  'a Request object is used up by its body': `(async () => {
    const request = new Request(api + 'upload', ${post(`'x'`)})
    await fetch(request)
    return [request.bodyUsed, (await failure(fetch(request))).isTypeError]
  })()`,
  'a method in lower case': `echo(await fetch(api + 'echo', { method: 'post' }))`,
  PATCH: `echo(await fetch(api + 'echo', { method: 'PATCH', body: 'x' }))`,
  DELETE: `echo(await fetch(api + 'echo', { method: 'DELETE' }))`,
  'HEAD, but for Content-Length': `(async () => {
    const { headers, ...rest } = await empty(await fetch(api + 'orders', { method: 'HEAD' }))
    return { ...rest, headers: headers.filter(([name]) => name !== 'content-length') }
  })()`,
  'status 204': `empty(await fetch(api + 'status/204'))`,
  'status 205': `empty(await fetch(api + 'status/205'))`,
  'status 304': `empty(await fetch(api + 'status/304', { cache: 'no-store' }))`,
  'status 403': `look(await fetch(api + 'forbidden'))`,
  'status 404': `look(await fetch(api + 'nothing'))`,
  'status 418': `look(await fetch(api + 'status/418'))`,
  'status 500': `look(await fetch(api + 'status/500'))`,
  'an exposed header': `(await fetch(api + 'orders')).headers.get('X-Rows')`,
  'headers as a list': `echo(await fetch(api + 'echo', { headers: [['X-One', 'a'], ['X-One', 'b'], ['Accept', 'text/plain']] }))`,
  'headers as Headers': `echo(await fetch(api + 'echo', { headers: new Headers({ 'X-One': 'a' }) }))`,
  'no body': `echo(await fetch(api + 'echo', { method: 'POST' }))`,
  'an empty body': `look(await fetch(api + 'upload', ${post(`''`)}))`,
  'a string': `look(await fetch(api + 'upload', ${post(`'grüße'`)}))`,
  JSON: `look(await fetch(api + 'upload', ${post(`'{"a":1}'`, `headers: { 'content-type': 'application/json' }`)}))`,
  'URLSearchParams with a key twice': `look(await fetch(api + 'upload', ${post(`new URLSearchParams([['a', '1'], ['a', '2'], ['b', 'ü &']])`)}))`,
  'FormData with files and a key twice': `fields(await fetch(api + 'upload', ${post('form()')}))`,
  'a Blob': `look(await fetch(api + 'upload', ${post(`new Blob([pattern(100_000)], { type: 'image/PNG' })`)}))`,
  'a Blob without a type': `look(await fetch(api + 'upload', ${post(`new Blob(['x'])`)}))`,
  'a File, sliced': `look(await fetch(api + 'upload', ${post(`new File([pattern(1000)], 'x').slice(10, 20, 'a/b')`)}))`,
  'an ArrayBuffer': `look(await fetch(api + 'upload', ${post('pattern(100_000).buffer')}))`,
  'an ArrayBuffer is still the caller’s': `(async () => {
    const { buffer } = pattern(10)
    await fetch(api + 'upload', ${post('buffer')})
    return buffer.byteLength
  })()`,
  'a part of an ArrayBuffer': `look(await fetch(api + 'upload', ${post('pattern(100).subarray(10, 20)')}))`,
  'a DataView': `look(await fetch(api + 'upload', ${post('new DataView(pattern(100).buffer, 5, 50)')}))`,
  'a stream over HTTP/1.1, which is unsupported': `failure(fetch(api + 'upload', ${post(`new Blob(['x']).stream()`, `duplex: 'half'`)}))`,
  'a stream without duplex': `failure(fetch(api + 'upload', ${post(`new Blob(['x']).stream()`)}))`,
  keepalive: `look(await fetch(api + 'upload', ${post(`'x'`, 'keepalive: true')}))`,
  priority: `look(await fetch(api + 'me', { priority: 'high' }))`,
  'right integrity': `look(await fetch(api + 'status/200', { integrity: await digest('status 200\\n') }))`,
  'wrong integrity': `failure(fetch(api + 'status/200', { integrity: await digest('something else') }))`,
  'a response as json()': `(await fetch(api + 'me')).json()`,
  'a response as arrayBuffer()': `(await fetch(api + 'me')).arrayBuffer().then((buffer) => buffer.byteLength)`,
  'a response as blob()': `(await fetch(api + 'me')).blob().then(({ type, size }) => ({ type, size }))`,
  'a response as bytes()': `(await fetch(api + 'me')).bytes().then((bytes) => bytes.length)`,
  'a response read twice': `(async () => {
    const response = await fetch(api + 'me')
    await response.text()
    return [head(response), (await failure(response.text())).isTypeError]
  })()`,
  'a clone': `(async () => {
    const response = await fetch(api + 'orders')
    const clone = response.clone()
    return [await look(clone), await look(response)]
  })()`,
  'a clone of a clone': `look((await fetch(api + 'orders')).clone().clone())`,
  'a clone of 204': `empty((await fetch(api + 'status/204')).clone())`,
  'a megabyte': `(async () => {
    const bytes = await (await fetch(api + 'bytes?size=1000001')).arrayBuffer()
    return [bytes.byteLength, await digestOf(bytes)]
  })()`,
  'for await over the body': `(async () => {
    let size = 0
    for await (const chunk of (await fetch(api + 'bytes?size=300000')).body) size += chunk.length
    return size
  })()`,
  'a reader with a buffer of its own': `(async () => {
    const reader = (await fetch(api + 'bytes?size=300000')).body.getReader({ mode: 'byob' })
    let size = 0
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(1000))
      if (done) return [size, value.length]
      size += value.length
    }
  })()`,
  'a body through TransformStreams': `(async () => {
    const { body } = await fetch(api + 'bytes?size=200000')
    const zipped = body.pipeThrough(new CompressionStream('gzip')).pipeThrough(new DecompressionStream('gzip'))
    return (await new Response(zipped).arrayBuffer()).byteLength
  })()`,
  'a body that breaks off': `(async () => {
    const response = await fetch(api + 'broken')
    const { name, isTypeError } = await failure(response.text())
    return [response.status, name, isTypeError]
  })()`,
  'a server that is not there': `failure(fetch(nobody + 'x'))`,
  'an invalid URL': `(await failure(fetch('http://['))).isTypeError`,
  'an address with a password': `(await failure(fetch(api.replace('//', '//me:secret@') + 'me'))).isTypeError`,
  'an invalid method': `(await failure(fetch(api + 'me', { method: 'NOT A METHOD' }))).isTypeError`,
  'a method that is forbidden': `(await failure(fetch(api + 'me', { method: 'TRACE' }))).isTypeError`,
  'an invalid header': `(await failure(fetch(api + 'me', { headers: { 'a b': 'c' } }))).isTypeError`,
  'GET with a body': `(await failure(fetch(api + 'me', { body: 'x' }))).isTypeError`,
  'aborted before': `failure(fetch(api + 'me', { signal: AbortSignal.abort() }))`,
  'aborted beforehand, with a reason': `failure(fetch(api + 'me', { signal: AbortSignal.abort('enough') }))`,
  'aborted by a Request’s own signal': `failure(fetch(new Request(api + 'me', { signal: AbortSignal.abort('enough') })))`,
  'aborted while it waits': `(async () => {
    const controller = new AbortController()
    const outcome = failure(fetch(api + 'slow?ms=20000', { signal: controller.signal }))
    setTimeout(() => controller.abort(new RangeError('enough')), 100)
    return outcome
  })()`,
  'timed out': `failure(fetch(api + 'slow?ms=20000', { signal: AbortSignal.timeout(100) }))`,
  'aborted while the body arrives': `(async () => {
    const controller = new AbortController()
    const response = await fetch(api + 'stream?n=1000&interval=50', { signal: controller.signal })
    const reader = response.body.getReader()
    await reader.read()
    controller.abort(new RangeError('enough'))
    return [await failure(reader.read()), await failure(reader.closed)]
  })()`,
  'aborted while the body is converted to text': `(async () => {
    const controller = new AbortController()
    const response = await fetch(api + 'stream?n=1000&interval=50', { signal: controller.signal })
    setTimeout(() => controller.abort(), 100)
    return failure(response.text())
  })()`,
  'aborted, with a reason, while the body is parsed as JSON': `(async () => {
    const controller = new AbortController()
    const response = await fetch(api + 'stream?n=1000&interval=50', { signal: controller.signal })
    setTimeout(() => controller.abort(new RangeError('enough')), 100)
    return failure(response.json())
  })()`,
  'timed out while the clone is converted to a Blob': `(async () => {
    const response = await fetch(api + 'stream?n=1000&interval=50', { signal: AbortSignal.timeout(2000) })
    return failure(response.clone().blob())
  })()`,
  'invalid JSON': `(await failure((await fetch(api + 'status/200')).json())).name`,
  'aborted after the end, which changes nothing': `(async () => {
    const controller = new AbortController()
    const response = await fetch(api + 'me', { signal: controller.signal })
    const text = await response.text()
    controller.abort()
    return text
  })()`,
  'a body that is canceled': `(async () => {
    const { body } = await fetch(api + 'stream?n=1000&interval=50')
    await body.cancel('enough')
    return (await body.getReader().read()).done
  })()`,
}

/** Runs a row's code in the page with one of the two fetches. */
function run(code, which) {
  const { api, nobody } = addresses
  return page.evaluate(
    `(async (fetch, api, nobody) => await (${code}))(fetches.${which}, '${api}', '${nobody}')`,
  )
}

for (const [name, code] of Object.entries(rows)) {
  test(name, { timeout: 15_000 }, async () => {
    const plain = await run(code, 'plain')
    // On a busy machine, a body may arrive later than the 30 ms for which its head waits. The page then gets no length.
    const vault = await mostly(
      () => run(code, 'vault'),
      (outcome) => isDeepStrictEqual(outcome, plain),
    )
    assert.deepEqual(vault, plain)
  })
}

test('an abort reaches the API', { timeout: 15_000 }, async () => {
  app.api.clear()
  await page.evaluate((url) => {
    globalThis.stop = new AbortController()
    void auth.fetch(url, { signal: stop.signal }).catch(() => {})
  }, `${app.api.url}slow?ms=20000`)
  const request = await until(() => app.api.requests[0])
  await page.evaluate(() => stop.abort())
  await request.closed
  assert.equal(request.aborted, true)
})

test('a canceled body reaches the API', { timeout: 15_000 }, async () => {
  app.api.clear()
  await run(rows['a body that is canceled'], 'vault')
  const [request] = app.api.requests
  await request.closed
  assert.equal(request.aborted, true)
})

test('a streamed response arrives chunk by chunk', { timeout: 15_000 }, async () => {
  const times = await page.evaluate(async (url) => {
    const times = []
    for await (const _ of (await auth.fetch(url)).body) times.push(performance.now())
    return times
  }, `${app.api.url}stream?n=3&interval=1000`)
  assert.ok(times.length >= 2, `${times.length} pieces`)
  assert.ok(times.at(-1) - times[0] > 500, 'they came all at once')
})

test('a reader that does not read applies backpressure', { timeout: 15_000 }, async () => {
  app.api.clear()
  const size = 64 * 1024 * 1024
  const url = `${app.api.url}bytes?size=${size}`
  await page.evaluate(async (address) => {
    globalThis.held = (await auth.fetch(address)).body.getReader()
    await held.read()
  }, url)
  await new Promise((resolve) => setTimeout(resolve, 500))
  const [request] = app.api.requests
  const early = await Promise.race([request.closed.then(() => true), false])
  assert.equal(early, false, 'the whole body was taken although nothing was read')
  await page.evaluate(() => held.cancel())
  await request.closed
  assert.equal(request.aborted, true)
})

for (const mode of ['no-cors', 'same-origin']) {
  test(`mode ${mode}, which cannot carry a token, is refused`, { timeout: 15_000 }, async () => {
    const asked = (options) => settle(auth.fetch(options.url, { mode: options.mode }))
    const outcome = await page.evaluate(asked, { url: app.api.url, mode })
    assert.equal(outcome.error.code, 'unsupported')
    assert.ok(outcome.error.isStrongroomError)
  })
}

for (const redirect of ['follow', 'manual', 'error']) {
  test(`redirect: '${redirect}' follows no redirect`, { timeout: 15_000 }, async () => {
    app.api.clear()
    const asked = (options) => settle(auth.fetch(`${options.url}redirect`, { redirect: options.redirect }))
    const outcome = await page.evaluate(asked, { url: app.api.url, redirect })
    assert.equal(outcome.error.code, 'redirect_blocked')
    assert.equal(app.api.requests.length, 1)
  })
}

test('the page’s referrer does not reach the API', { timeout: 15_000 }, async () => {
  app.api.clear()
  const referrer = `${app.site.origin}/secret?path`
  await page.evaluate(
    (options) => auth.fetch(options.url, { referrer: options.referrer, referrerPolicy: 'unsafe-url' }),
    {
      url: `${app.api.url}me`,
      referrer,
    },
  )
  const { headers } = app.api.requests.at(-1)
  assert.doesNotMatch(String(headers.referer), /secret/)
})
