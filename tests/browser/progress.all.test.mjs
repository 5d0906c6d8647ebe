// onProgress reports the numbers of received and sent bytes, without changing the data.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { signIn, startApp } from '../support/app.mjs'

const time = { timeout: 40_000 }

let app, page

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  app.api.on('unknown', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' })
    response.write('one ', () => response.end('two'))
  })
  app.api.on('squeezed', ({ response }) => {
    const body = gzipSync(Buffer.alloc(100_000, 'x'))
    response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length })
    response.end(body)
  })
  page = await app.open()
  await signIn(page)
})
after(() => app?.close())
beforeEach(() => app.api.clear())

/**
 * Calls the API. Resolves with the progress reports (`told`), the number of bytes in the response's body
 * (`byteLength`), and the response's URL.
 */
const told = (path, body = 'undefined') =>
  page.evaluate(`(async () => {
    const told = []
    const body = ${body}
    const init = body === undefined ? {} : { method: 'POST', body }
    const response = await auth.fetch('${app.api.url}${path}', { ...init, onProgress: (progress) => told.push(progress) })
    const { byteLength } = await response.arrayBuffer()
    return { told, byteLength, url: response.url }
  })()`)

test('progress of a long searched download: each chunk, no total', time, async () => {
  const { told: calls, byteLength, url } = await told('bytes?size=5000000')
  assert.equal(byteLength, 5_000_000)
  assert.equal(url, `${app.api.url}bytes?size=5000000`)
  assert.ok(calls.length > 1, 'in pieces')
  let before = 0
  for (const { type, loaded, total } of calls) {
    // Where bodies are searched for the token, the page does not learn the length of a long body.
    assert.deepEqual([type, total], ['download', null])
    assert.ok(loaded > before)
    before = loaded
  }
  assert.equal(before, 5_000_000)
})

test('progress of a download that is not searched has its total', time, async () => {
  app.setConfig({ apis: [{ url: app.api.url, reflection: 'headers' }] })
  const searched = page
  page = await app.open()
  try {
    await signIn(page)
    const { told: calls } = await told('bytes?size=5000000')
    assert.deepEqual(calls.at(-1), { type: 'download', loaded: 5_000_000, total: 5_000_000 })
  } finally {
    await page.context().close()
    page = searched
  }
})

test('progress of a download without a length: no total', time, async () => {
  const { told: calls } = await told('on/unknown')
  assert.deepEqual(calls.at(-1), { type: 'download', loaded: 7, total: null })
})

test('progress of a compressed download: decompressed bytes, no total', time, async () => {
  const { told: calls, byteLength } = await told('on/squeezed')
  assert.equal(byteLength, 100_000)
  assert.deepEqual(calls.at(-1), { type: 'download', loaded: 100_000, total: null })
})

for (const [name, body, size] of [
  ['a text', `'grüße'`, 7],
  ['a Blob', 'new Blob([new Uint8Array(1000)])', 1000],
  ['a view', 'new Uint8Array(1000).subarray(10)', 990],
]) {
  test(`progress of an upload: everything when the response begins: ${name}`, time, async () => {
    const { told: calls } = await told('upload', body)
    assert.deepEqual(calls[0], { type: 'upload', loaded: size, total: size })
    assert.ok(calls.slice(1).every(({ type }) => type === 'download'))
    assert.equal(app.api.requests[0].bytes, size)
  })
}

test('progress of an upload as a form: the encoded size', time, async () => {
  const { told: calls } = await told(
    'upload',
    `(() => { const form = new FormData(); form.append('a', 'b'); return form })()`,
  )
  assert.equal(calls[0].loaded, app.api.requests[0].bytes)
})

test('progress of a call without bodies: nothing', time, async () => {
  const { told: calls } = await told('status/204')
  assert.deepEqual(calls, [])
})

test('a refused call reports no progress', time, async () => {
  const { error } = await page.evaluate(() =>
    settle(auth.fetch('https://elsewhere.example/', { onProgress() {} })),
  )
  assert.deepEqual([error.code, error.isStrongroomError], ['url_not_allowed', true])
  const aborted = await page.evaluate(
    (url) => settle(auth.fetch(url, { onProgress() {}, signal: AbortSignal.abort(new RangeError('mine')) })),
    `${app.api.url}me`,
  )
  assert.equal(aborted.error.name, 'RangeError')
})

test('a value that is not a function is refused before sending', time, async () => {
  const { error } = await page.evaluate(
    (url) => settle(auth.fetch(url, { onProgress: 5 })),
    `${app.api.url}me`,
  )
  assert.deepEqual([error.name, error.message], ['TypeError', 'onProgress is not a function'])
  assert.equal(app.api.requests.length, 0)
})

test('exceptions of onProgress are reported and do not affect the call', time, async () => {
  const errors = []
  page.on('pageerror', ({ message }) => errors.push(message))
  const outcome = await page.evaluate(async (url) => {
    const onProgress = ({ type }) => {
      throw new Error(type)
    }
    const response = await auth.fetch(url, { method: 'POST', body: 'x', onProgress })
    return (await response.json()).length
  }, `${app.api.url}echo`)
  assert.equal(outcome, 1)
  assert.deepEqual(errors, ['upload', 'download'])
})
