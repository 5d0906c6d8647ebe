// Tests of bodies of any size. The server sends only a bounded amount of data before the page reads it, and stops when
// the page cancels. A request that is repeated after a 401 has the same body.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { booted, call, signIn, startApp } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'

const time = { timeout: 90_000 }
const MB = 1024 * 1024
/** A number of bytes that is far less than a body, and more than the buffers of the kernel and the browser hold. */
const MOST = 64 * MB
const BLOCK = Buffer.alloc(64 * 1024, 'endless ')

let app, page
/** The last endless response. `taken()` returns the number of its bytes that the network has accepted. */
let flow

before(async () => {
  app = await startApp({ plainFetch: true, provider: { accessTokenSeconds: 3600 } })
  app.api.on('endless', endless)
  page = await app.open()
  await signIn(page)
})
after(() => app?.close())
beforeEach(() => app.api.clear())

/** Sends a response without an end. Writes as long as the network accepts data. */
function endless({ response, entry }) {
  const { socket } = response
  const before = socket.bytesWritten
  flow = { entry, taken: () => socket.bytesWritten - socket.writableLength - before }
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Cache-Control': 'no-store' })
  const write = () => {
    while (!response.destroyed && response.write(BLOCK));
  }
  response.on('drain', write)
  write()
}

/**
 * Waits until the network has accepted no more bytes of `flow` for a second. Resolves with the number of bytes that the
 * network has accepted.
 */
async function stalled() {
  for (let before = -1; ;) {
    const taken = flow.taken()
    if (taken === before) return taken
    before = taken
    await sleep(1000)
  }
}

const url = () => `${app.api.url}on/endless`

/** Reads this many bytes in the page, with the page's reader `held`. */
const read = (size) =>
  page.evaluate(async (wanted) => {
    let seen = 0
    while (seen < wanted) seen += (await held.read()).value.length
    return seen
  }, size)

// claim: api-7
test('a stalled reader stops the server after a bounded amount', time, async (t) => {
  await page.evaluate(async (address) => {
    globalThis.held = (await auth.fetch(address)).body.getReader()
  }, url())
  await read(1)
  const first = await stalled()
  assert.ok(first < MOST, `${first} bytes were taken although nothing was read`)

  // Control experiment: while the page reads, the body continues beyond the size of all buffers.
  const seen = await read(256 * MB)
  const second = await stalled()
  assert.ok(seen >= 256 * MB && second >= seen)
  const ahead = second - seen
  assert.ok(ahead < MOST, `${ahead} bytes were taken ahead of the reader`)
  t.diagnostic(
    `nobody read: ${(first / MB).toFixed(1)} MB taken; after ${seen / MB} MB: ${(ahead / MB).toFixed(1)} MB ahead`,
  )

  await page.evaluate(() => held.cancel())
  await flow.entry.closed
  assert.ok(flow.entry.aborted)
})

test('an unread response applies backpressure', time, async () => {
  await page.evaluate(async (address) => {
    globalThis.unread = await auth.fetch(address)
  }, url())
  assert.ok((await stalled()) < MOST)
  await page.evaluate(() => unread.body.cancel())
  await flow.entry.closed
})

leftOut('an unread clone applies no backpressure, as in fetch', time, async () => {
  await page.evaluate(async (address) => {
    const response = await auth.fetch(address)
    globalThis.clone = response.clone()
    globalThis.held = response.body.getReader()
  }, url())
  assert.ok((await read(32 * MB)) >= 32 * MB)
  await page.evaluate(() => Promise.all([held.cancel(), clone.body.cancel()]))
  await flow.entry.closed
})

/** Ways in which a page can abandon a response in flight. */
const ENDS = {
  'an abort before the body is read': () =>
    page.evaluate(async (address) => {
      const controller = new AbortController()
      await auth.fetch(address, { signal: controller.signal })
      controller.abort()
    }, url()),
  'an abort while the body is read': () =>
    page.evaluate(async (address) => {
      const controller = new AbortController()
      const { body } = await auth.fetch(address, { signal: controller.signal })
      const reader = body.getReader()
      await reader.read()
      controller.abort()
      await reader.closed.catch(() => {})
    }, url()),
  'a loop that is left': () =>
    page.evaluate(async (address) => {
      for await (const _ of (await auth.fetch(address)).body) break
    }, url()),
  'a pipe whose destination fails': () =>
    page.evaluate(async (address) => {
      const { body } = await auth.fetch(address)
      const write = () => {
        throw new Error('full')
      }
      await body.pipeTo(new WritableStream({ write })).catch(() => {})
    }, url()),
  'a client that is closed': async () => {
    const tab = await other()
    await tab.evaluate(() => auth.close())
  },
  'a page that navigates away': async () => {
    const tab = await other()
    await tab.goto(`${app.site.origin}/empty`)
  },
  'a page that is closed': async () => (await other()).close(),
}

/** Opens another tab with the same vault. This tab reads the bodies of its responses. */
async function other() {
  const tab = await app.open('/', page.context())
  await booted(tab)
  await tab.evaluate(async (address) => {
    const reader = (await auth.fetch(address)).body.getReader()
    await reader.read()
  }, url())
  return tab
}

for (const [name, end] of Object.entries(ENDS)) {
  leftOut(`${name} frees the connection, as the server sees`, time, async () => {
    await end()
    const { entry } = flow
    await entry.closed
    assert.equal(entry.aborted, true)
  })
}

leftOut('a broken connection ends the body and drops the call', time, async () => {
  await page.evaluate(async (address) => {
    globalThis.held = (await auth.fetch(address)).body.getReader()
    await held.read()
  }, url())
  app.api.requests[0].break()
  const name = await page.evaluate(async () => {
    try {
      for (;;) await held.read()
    } catch (error) {
      return error.name
    }
  })
  assert.equal(name, 'TypeError')
})

leftOut('an aborted upload is aborted at the server', time, async () => {
  await page.evaluate((address) => {
    globalThis.controller = new AbortController()
    const part = new Uint8Array(16 * 1024 * 1024)
    const body = new Blob(Array.from({ length: 16 }, () => part))
    const { signal } = controller
    globalThis.sent = settle(auth.fetch(address, { method: 'POST', body, signal }))
  }, `${app.api.url}upload`)
  while (!app.api.requests.length) await sleep(5)
  const [request] = app.api.requests
  await page.evaluate(() => controller.abort())
  await request.closed
  assert.deepEqual([request.aborted, request.bytes], [true, 0])
  assert.equal((await page.evaluate(() => sent)).error.name, 'AbortError')
})

/** Bodies that the vault can send twice. The API rejects the first request with each body. */
const BODIES = {
  text: `'grüße'`,
  Blob: `new Blob([pattern(100_000)], { type: 'a/b' })`,
  File: `new File([pattern(1000)], 'x.bin', { type: 'a/b' })`,
  ArrayBuffer: 'pattern(1000).buffer',
  'a view': 'pattern(1000).subarray(10, 20)',
  URLSearchParams: `new URLSearchParams([['a', '1'], ['a', '2']])`,
  'FormData with files and a key twice': `(() => {
    const form = new FormData()
    form.append('a', '1')
    form.append('a', '2')
    form.append('f', new File([pattern(70_000)], 'a.bin'))
    form.append('f', new File(['x'], 'b.txt', { type: 'text/plain' }))
    return form
  })()`,
}

/** A page reads every body in the same way, so a run without `--all` tests only the first and the last one. */
const someBodies = Object.entries(BODIES).filter((_, at, { length }) => ALL || at % (length - 1) === 0)

for (const [name, body] of someBodies) {
  test(`after a 401 the whole body is sent again: ${name}`, time, async () => {
    // A vault limits the number of refreshes after a 401, so each body is tested with a new vault.
    const tab = await app.open()
    await signIn(tab)
    app.api.clear()
    const seen = (path) =>
      tab.evaluate(`(async () => {
        const pattern = (size) => Uint8Array.from({ length: size }, (_, i) => (i * 31) % 251)
        const body = ${body}
        const response = await auth.fetch('${app.api.url}${path}', { method: 'POST', body })
        const { length, sha256 } = await response.json()
        return { status: response.status, length, sha256: body instanceof FormData ? null : sha256 }
      })()`)
    const once = await seen(`reject-once/${encodeURIComponent(name)}`)
    assert.equal(once.status, 200)
    assert.deepEqual(once, await seen('echo'), 'the repeated request equals a single one')
    const statuses = app.api.requests.map(({ status }) => status)
    assert.deepEqual(statuses.slice(0, 2), [401, 200])
    await tab.context().close()
  })
}

leftOut('after a 401 a Request with a body is sent again', time, async () => {
  const tab = await app.open()
  await signIn(tab)
  const outcome = await tab.evaluate(async (address) => {
    const request = new Request(address, { method: 'POST', body: 'once' })
    const clone = request.clone()
    const response = await auth.fetch(request)
    return [response.status, (await response.json()).length, request.bodyUsed, clone.bodyUsed]
  }, `${app.api.url}reject-once/request`)
  assert.deepEqual(outcome, [200, 4, true, false])
})

leftOut('a download of half a gigabyte arrives whole', time, async () => {
  app.api.on('large', async ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': 512 * MB })
    for (let left = 512 * MB; left && !response.destroyed; left -= BLOCK.length) {
      if (!response.write(BLOCK)) await new Promise((resolve) => response.once('drain', resolve))
    }
    response.end()
  })
  const size = await page.evaluate(async (address) => {
    let size = 0
    for await (const piece of (await auth.fetch(address)).body) size += piece.length
    return size
  }, `${app.api.url}on/large`)
  assert.equal(size, 512 * MB)
  assert.equal((await call(page, `${app.api.url}me`)).value.status, 200)
})
