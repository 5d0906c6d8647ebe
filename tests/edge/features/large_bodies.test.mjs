// A body that passes through a route is never held as a whole: the peak of the process's memory does not grow with the
// body. Only Linux shows the peak of another process (`VmHWM`), and can forget it (`clear_refs`).
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { request as open } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { ALL, rows, WHOLE } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { listen } from '../../support/listen.mjs'

const MB = 1024 * 1024
const SIZE = (ALL ? 2048 : 256) * MB
/** The growth that the buffers of sockets and an uncollected garbage may cause, whatever the size of the body. */
const FLAT = 192 * MB
/** Large pieces, because Deno needs 45 ms for each piece of a body whose length is unknown. */
const PIECE = Buffer.alloc(MB, 'strongroom ')
/** A slow reader pauses each time after as many bytes. */
const READ = MB / 4
const time = {
  timeout: ALL ? 1_800_000 : 300_000,
  skip: process.platform !== 'linux' && 'only Linux shows it',
}

/** Returns the process that listens on a port of loopback. */
const processOn = (port) => {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(([, local, , state]) => local?.endsWith(`:${hex}`) && state === '0A')
  const socket = `socket:[${line[9]}]`
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const files = readdirSync(`/proc/${pid}/fd`)
      if (files.some((file) => linkOf(`/proc/${pid}/fd/${file}`) === socket)) return pid
    } catch {
      // The process has ended, or belongs to somebody else.
    }
  }
  throw new Error(`no process listens on port ${port}`)
}

const linkOf = (path) => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

const memoryOf = (pid, what) =>
  Number(new RegExp(`^${what}:\\s*(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) *
  1024

/**
 * Returns a function that resolves with the number of bytes by which a process's memory peaks during `run` above its
 * size now. Memory that an earlier run has left behind counts, since the process would otherwise use it again unseen.
 */
const measure = (url) => {
  const pid = processOn(Number(new URL(url).port))
  const before = memoryOf(pid, 'VmRSS')
  return async (run) => {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
    await run()
    return memoryOf(pid, 'VmHWM') - before
  }
}

/** Writes {@link SIZE} bytes as fast as the receiver takes them. */
const write = (stream) => {
  let left = SIZE
  const go = () => {
    while (left > 0) {
      left -= PIECE.length
      if (!stream.write(PIECE)) return void stream.once('drain', go)
    }
    stream.end()
  }
  go()
}

/** Resolves with the number of bytes in a body. A slow reader pauses after each {@link READ}. */
const count = (stream, isSlow) =>
  new Promise((resolve, reject) => {
    let size = 0
    let next = READ
    stream.on('data', (chunk) => {
      size += chunk.length
      if (!isSlow || size < next) return
      next = size + READ
      stream.pause()
      setTimeout(() => stream.resume(), 4)
    })
    stream.on('end', () => resolve(size))
    stream.on('error', reject)
  })

const startUpstream = () =>
  listen({
    async handler(request, response) {
      if (request.url.endsWith('download')) return write(response)
      if (request.url.endsWith('moved')) {
        response.writeHead(307, { location: 'https://elsewhere.example/' }).end()
        return request.resume()
      }
      if (request.url.endsWith('dead')) return request.socket.destroy()
      response.end(`${await count(request, request.url.endsWith('slow'))}`)
    },
  })

/** Sends a request. Resolves with its status and the number of bytes, or the text of a short body. */
const ask = (url, { method = 'POST', headers, isSlow = false, body = write }) =>
  new Promise((resolve, reject) => {
    const request = open(url, { method, headers, agent: false }, async (response) => {
      if (method === 'GET')
        return resolve({ status: response.statusCode, size: await count(response, isSlow) })
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      resolve({ status: response.statusCode, text })
    })
    request.on('error', reject)
    if (method === 'GET') request.end()
    else body(request)
  })

test('a body that is held is noticed', time, async () => {
  const held = `
    const { createServer } = require('node:http')
    const server = createServer(async (request, response) => {
      const held = []
      for await (const chunk of request) held.push(chunk)
      response.end(String(held.length))
    })
    server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())))`
  const server = await startServer(process.execPath, ['-e', held], { env: {}, cwd: '/' })
  try {
    const url = `http://127.0.0.1:${server.said.port}/`
    const grown = await measure(url)(() => ask(url, {}))
    assert.ok(grown > SIZE * 0.75, `${grown / MB} MB`)
  } finally {
    await server.stop()
  }
})

/** Paths of the upstream, each with the length that the client announces. The usual run has only the first one. */
const UPLOADS = [
  ['upload-slow', undefined],
  ['upload', SIZE],
  ['upload', undefined],
]
/** Kinds of reflection, each with true for a slow client. The usual run has only the first one. */
const DOWNLOADS = [
  ['refuse', true],
  ['allow', false],
  ['allow', true],
  ['refuse', false],
]

for (const platform of rows(['node', 'deno', 'bun', 'workerd'])) {
  const isUsual = (_, i) => ALL || (WHOLE && platform === 'node') || i < (WHOLE ? 2 : 1)
  describe(`${platform}: large bodies`, time, () => {
    let upstream, app, headers, growth
    before(async () => {
      upstream = await startUpstream()
      const route = (reflection) => ({
        prefix: `/${reflection}/`,
        upstream: `${upstream.origin}/`,
        reflection,
        methods: ['GET', 'POST'],
      })
      app = await startApp(platform, {
        coordinator: 'in-isolate',
        isolates: 1,
        provider: { accessTokenSeconds: 3600 },
        handler: { routes: ['refuse', 'allow'].map(route) },
      })
      const visitor = app.visitor()
      await visitor.signIn({ returnTo: '/orders', until: ({ pathname }) => pathname === '/orders' })
      const cookie = [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      growth = measure(app.urls[0])
      headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }
    }, time)
    after(async () => {
      await app?.stop()
      await upstream?.close()
    })

    const isFlat = async (run) => {
      const grown = await growth(run)
      if (process.env.SHOW) console.error(platform, Math.round(grown / MB))
      assert.ok(grown < FLAT, `the memory peaked ${Math.round(grown / MB)} MB higher`)
    }

    for (const [path, length] of UPLOADS.filter(isUsual)) {
      // claim: handler-76
      test(`memory is flat during an ${path}${length ? ' of known length' : ''}`, time, () =>
        isFlat(async () => {
          const sent = { ...headers, ...(length && { 'content-length': length }) }
          const { text } = await ask(`${app.urls[0]}/refuse/${path}`, { headers: sent })
          assert.equal(text, `${SIZE}`)
        }),
      )
    }
    for (const [reflection, isSlow] of DOWNLOADS.filter(isUsual)) {
      test(
        `memory is flat during a download, reflection ${reflection}${isSlow ? ', slow client' : ''}`,
        time,
        () =>
          isFlat(async () => {
            const options = { method: 'GET', headers, isSlow }
            const { size } = await ask(`${app.urls[0]}/${reflection}/download`, options)
            assert.equal(size, SIZE)
          }),
      )
    }

    for (const [path, code] of [
      ['moved', 'redirect_blocked'],
      ['dead', 'upstream_unavailable'],
    ]) {
      test(`a streamed upload to an upstream that is ${path} fails with ${code}`, time, async () => {
        const body = (request) => request.end('a body')
        const sent = { ...headers, 'transfer-encoding': 'chunked' }
        const { status, text } = await ask(`${app.urls[0]}/refuse/${path}`, { headers: sent, body })
        assert.equal(status, 502)
        assert.equal(JSON.parse(text).error.code, code)
      })
    }
  })
}
