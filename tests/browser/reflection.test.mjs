// If an API sends back the token of its request, the page does not get the token. The detector of the leak test
// searches everything that a page received. It finds the token if an `apis` entry allows reflection.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sendJson, sha256 } from '../support/responses.mjs'
import { call, signIn, startApp } from '../support/app.mjs'
import { search } from '../support/leak.mjs'

const time = { timeout: 30_000 }

let app
let page
const tokens = new Set()

const tokenOf = ({ authorization }) => authorization.replace('Bearer ', '')

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  const { api } = app
  const text = (response, body) => response.writeHead(200, { 'Content-Type': 'text/plain' }).end(body)
  for (const [name, write] of Object.entries(FORMS)) {
    api.on(name, ({ response, entry }) => {
      tokens.add(tokenOf(entry))
      text(response, `You sent: ${write(tokenOf(entry))}.`)
    })
  }
  api.on('header', ({ response, entry }) => {
    sendJson(response, 200, {}, { 'X-Request-Id': `for-${tokenOf(entry)}` })
  })
  page = await app.open()
  await signIn(page)
})
after(() => app?.close())

const FORMS = {
  plain: (token) => token,
  base64: (token) => btoa(token),
}

const url = (name) => `${app.api.url}on/${name}`
const found = (...texts) =>
  search(
    { page: texts },
    [...tokens].map((value) => ({ kind: 'access token', value })),
  )

for (const name of Object.keys(FORMS)) {
  // claim: api-4
  test(`token_reflected: the body has the token: ${name}`, time, async () => {
    const { error } = await call(page, url(name))
    assert.equal(error?.code, 'token_reflected')
    assert.deepEqual(found(JSON.stringify(error)), [])
  })
}

// claim: api-4
test('a response whose headers have the token is never given to the page', time, async () => {
  const outcome = await page.evaluate(
    (address) => settle(auth.fetch(address).then(() => 'a response')),
    url('header'),
  )
  assert.equal(outcome.error?.code, 'token_reflected')
})

// claim: api-4
test('a token in two chunks: the page gets neither', time, async () => {
  let goOn
  const isRead = new Promise((resolve) => (goOn = resolve))
  app.api.on('slow', async ({ response, entry }) => {
    const token = tokenOf(entry)
    tokens.add(token)
    response.writeHead(200, { 'Content-Type': 'text/plain' })
    response.write(`before ${token.slice(0, -5)}`)
    await isRead
    response.end(`${token.slice(-5)} after`)
  })
  app.api.on('read', ({ response }) => {
    goOn()
    sendJson(response, 200, {})
  })
  const { given, error } = await page.evaluate(
    async ([slow, read]) => {
      const response = await auth.fetch(slow)
      let given = ''
      const decoder = new TextDecoder()
      try {
        for await (const piece of response.body) {
          given += decoder.decode(piece)
          await auth.fetch(read)
        }
        return { given }
      } catch (error) {
        return { given, error: { code: error.code, message: error.message } }
      }
    },
    [url('slow'), url('read')],
  )
  assert.equal(error?.code, 'token_reflected')
  assert.equal(given, 'before ')
  assert.match(error.message, /contains the access token/)
})

/**
 * Sends these pieces of a body, each when the page has read all that precede it. Resolves with what the page reads, and
 * the error that ends the body.
 */
async function paced(pieces) {
  let goOn = () => {}
  app.api.on('paced', async ({ response, entry }) => {
    tokens.add(tokenOf(entry))
    response.writeHead(200, { 'Content-Type': 'application/grpc-web' })
    for (const piece of pieces(tokenOf(entry))) {
      response.write(piece)
      await new Promise((resolve) => (goOn = resolve))
    }
    response.end()
  })
  app.api.on('has-read', ({ response }) => {
    goOn()
    sendJson(response, 200, {})
  })
  const lengths = pieces('x'.repeat(1000)).map((piece) => piece.length)
  return page.evaluate(
    async ([address, read, wanted]) => {
      let given = ''
      try {
        const reader = (await auth.fetch(address)).body.getReader()
        const decoder = new TextDecoder()
        let total = 0
        for (const length of wanted) {
          for (total += length; given.length < total;) given += decoder.decode((await reader.read()).value)
          await auth.fetch(read)
        }
        return { given, isDone: (await reader.read()).done }
      } catch (error) {
        return { given, code: error.code }
      }
    },
    [url('paced'), url('has-read'), lengths],
  )
}

test('a message without an end arrives before the next one', time, async () => {
  const { given, isDone } = await paced(() => ['one message', ' and_another', '-one'])
  assert.deepEqual([given, isDone], ['one message and_another-one', true])
})

test('a token that pauses after 10 characters is not completed', time, async () => {
  const cut = (token) => ['sent: ', token.slice(0, 10), token.slice(10)]
  const { given, code } = await paced(cut)
  assert.equal(code, 'token_reflected')
  assert.match(given, /^sent: eyJ.{7}$/)
})

// claim: api-4
test('an event stream with the token ends, and is not reopened', time, async () => {
  let count = 0
  app.api.on('events', ({ response, entry }) => {
    count++
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: hello\n\n')
    response.write(`data: you are ${tokenOf(entry)}\n\n`)
  })
  const said = await page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const said = []
        const source = auth.eventSource(address)
        source.onmessage = ({ data }) => said.push(data)
        source.onerror = ({ error }) => resolve([...said, error?.code, source.readyState])
      }),
    url('events'),
  )
  assert.deepEqual(found(JSON.stringify(said)), [])
  assert.deepEqual(said.slice(-2), ['token_reflected', 2])
  assert.equal(count, 1)
})

test('a string that resembles a token arrives intact in any chunks', time, async () => {
  const body = Buffer.from(`${'eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln '.repeat(40_000)}eyJ`)
  app.api.on('lookalikes', async ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' })
    for (let at = 0; at < body.length; at += 9973) {
      if (!response.write(body.subarray(at, at + 9973))) {
        await new Promise((resolve) => response.once('drain', resolve))
      }
    }
    response.end()
  })
  const got = await page.evaluate(async (address) => {
    const bytes = await (await auth.fetch(address)).arrayBuffer()
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return [bytes.byteLength, [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')]
  }, url('lookalikes'))
  assert.deepEqual(got, [body.length, sha256(body)])
})

/** Opens a page of the app with these `apis`, and signs in. */
async function withRules(apis) {
  app.setConfig({ apis })
  const other = await app.open()
  await signIn(other)
  return other
}

test("reflection: 'headers' does not search bodies", time, async () => {
  const other = await withRules([{ url: app.api.url, reflection: 'headers' }])
  const { value } = await call(other, url('plain'))
  assert.match(value?.text, /^You sent: eyJ/)
  assert.equal((await call(other, url('header'))).error?.code, 'token_reflected')
  await other.context().close()
})

test("a control: with reflection: 'allow' the leak test finds the token", time, async () => {
  const other = await withRules([{ url: app.api.url, reflection: 'allow' }])
  for (const name of Object.keys(FORMS)) {
    const { value } = await call(other, url(name))
    assert.notDeepEqual(found(value?.text ?? ''), [], name)
  }
  assert.equal((await call(other, url('header'))).value?.status, 200)
  await other.context().close()
})
