// An API that puts the previous access token into its responses, such as a page with recent requests. The API may still
// accept that token.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

const time = { timeout: 60_000 }
const LIFETIME = 600
const now = Date.now
const received = []
let upstream, app, visitor

/** Responds with one of the received tokens: in a body of known length, in a stream, in a header or in a challenge. */
const respond = ({ url, headers }, response) => {
  received.push(headers.authorization)
  const { pathname, searchParams } = new URL(url, 'http://api')
  const text = `recent: ${received.at(searchParams.get('from'))}`
  if (pathname === '/short') response.setHeader('content-length', text.length).end(text)
  else if (pathname === '/header') response.setHeader('x-recent', text).end()
  else if (pathname === '/challenge')
    response.writeHead(403, { 'www-authenticate': `Bearer realm="${text}"` }).end()
  else {
    response.write('a stream, ')
    response.end(text)
  }
}

before(async () => {
  upstream = await listen({ handler: respond })
  app = await startInProcess(createTokenHandler, {
    accessTokenSeconds: LIFETIME,
    handler: {
      coordinator: inIsolate(),
      routes: [{ prefix: '/api/', upstream: `${upstream.origin}/` }],
      log() {},
    },
  })
  visitor = new Visitor(app.place)
  await visitor.signIn()
  await visitor.call('/api/short?from=9')
  // The first token is due for a refresh, but still valid.
  Date.now = () => now() + (LIFETIME - 20) * 1000
  await visitor.call('/api/short?from=9')
  assert.equal(new Set(received).size, 2)
}, time)
after(async () => {
  Date.now = now
  await app?.close()
  await upstream?.close()
})

const codeOf = async (path) => {
  const response = await visitor.call(path)
  return response.status === 502 ? (await response.json()).error.code : response.status
}

// claim: handler-34
test('response with the previous token is refused', time, async () => {
  for (const place of ['short', 'header', 'challenge']) {
    assert.equal(await codeOf(`/api/${place}?from=0`), 'token_reflected', place)
  }
})

// claim: handler-34
test('stream with the previous token breaks off', time, async () => {
  const read = visitor.call('/api/stream?from=0').then((response) => response.text())
  const text = await read.catch((error) => error.message)
  assert.doesNotMatch(text, /Bearer/)
})

test('control: expired previous token passes', time, async () => {
  Date.now = () => now() + (LIFETIME + 20) * 1000
  for (const place of ['short', 'stream']) {
    const response = await visitor.call(`/api/${place}?from=0`)
    assert.ok((await response.text()).endsWith(`recent: ${received[0]}`), place)
  }
  assert.equal(await codeOf('/api/short?from=-1'), 'token_reflected')
  assert.equal(new Set(received).size, 2)
})
