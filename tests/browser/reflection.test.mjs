// If an API sends back the token of its request, the page does not get the token. The detector of the leak test
// searches everything that a page received. It finds the token if an `apis` entry allows reflection.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sendJson, sha256 } from '../support/responses.mjs'
import { ACCOUNTS } from '../support/accounts.mjs'
import { call, signIn, signInByPopup, startApp } from '../support/app.mjs'
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

/**
 * Opens an event stream in which the API repeats the `Authorization` header of each later request of `seen`. Returns
 * functions: `renew` has the vault get another token, `show` sends such a request, and `end` resolves with what the page
 * has read, and with the code of the error that ended it. `begin` is sent at once, and `write` turns a token into pieces.
 */
async function openLog(page, { begin = 'data: hello\n\n', write = (token) => [`data: ${token}\n\n`] } = {}) {
  let log
  app.api.on('log', ({ response, entry }) => {
    tokens.add(tokenOf(entry))
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write(typeof begin === 'string' ? begin : begin(tokenOf(entry)))
    log = response
  })
  app.api.on('seen', async ({ response, entry }) => {
    tokens.add(tokenOf(entry))
    for (const piece of write(tokenOf(entry))) await new Promise((resolve) => log.write(piece, resolve))
    sendJson(response, 200, {})
  })
  await page.evaluate(async (address) => {
    globalThis.log = { text: '' }
    const { body } = await auth.fetch(address)
    const read = async () => {
      for await (const chunk of body.pipeThrough(new TextDecoderStream())) log.text += chunk
    }
    log.end = read().then(
      () => null,
      ({ code }) => code,
    )
  }, url('log'))
  return {
    renew: async () => {
      const { value } = await call(page, `${app.api.url}reject-once/${rejected++}`)
      assert.equal(value?.status, 200)
    },
    show: async () => assert.equal((await call(page, url('seen'))).value?.status, 200),
    end: async () => {
      log.end()
      return page.evaluate(async () => [log.text, await log.end])
    },
  }
}

let rejected = 0

// claim: api-4
test('an open stream does not show a token that was renewed meanwhile', time, async () => {
  const { renew, show, end } = await openLog(page)
  await renew()
  await show()
  assert.deepEqual(await end(), ['data: hello\n\n', 'token_reflected'])
  // The next stream is not searched for the new token only.
  const next = await openLog(page, { write: () => [`data: ${[...tokens].at(-2)}\n\n`] })
  await next.show()
  assert.deepEqual(await next.end(), ['data: hello\n\n', 'token_reflected'])
})

// claim: api-4
test('a token is found if its first half arrives before the renewal', time, async () => {
  // JWTs of one key begin with the same header.
  const half = ({ length }) => length / 2
  const { renew, show, end } = await openLog(page, {
    begin: (token) => `data: ${token.slice(0, 40)}`,
    write: (token) => [token.slice(40, half(token)), token.slice(half(token)), '\n\n'],
  })
  await renew()
  await show()
  const [first, second] = [...tokens].slice(-2)
  assert.equal(first.slice(0, 40), second.slice(0, 40))
  assert.deepEqual(await end(), ['data: ', 'token_reflected'])
})

// claim: api-4
test('a response that begins after a renewal is searched for the new token', time, async () => {
  let goOn
  const seen = new Promise((resolve) => (goOn = resolve))
  app.api.on('late', async ({ response }) => response.end(`You sent: ${await seen}.`))
  app.api.on('seen', ({ response, entry }) => {
    tokens.add(tokenOf(entry))
    goOn(tokenOf(entry))
    sendJson(response, 200, {})
  })
  await page.evaluate((address) => {
    globalThis.late = settle(auth.fetch(address).then((response) => response.text()))
  }, url('late'))
  await call(page, `${app.api.url}reject-once/${rejected++}`)
  await call(page, url('seen'))
  const { error } = await page.evaluate(() => late)
  assert.equal(error?.code, 'token_reflected')
})

// claim: api-4
test('an open stream does not show the token of the next user', time, async () => {
  const other = await app.open('/', await app.browser.newContext())
  await signIn(other)
  const { show, end } = await openLog(other)
  const { value, error } = await signInByPopup(other, { prompt: 'login' }, ACCOUNTS[1])
  assert.equal(error, undefined, value)
  await show()
  assert.deepEqual(await end(), ['data: hello\n\n', 'token_reflected'])
  await other.context().close()
})

// claim: api-4
test('an open stream goes on without a token after a renewal', time, async () => {
  const { renew, show, end } = await openLog(page, { write: () => ['data: and', ' on', '-and-on\n\n'] })
  await renew()
  await show()
  assert.deepEqual(await end(), ['data: hello\n\ndata: and on-and-on\n\n', null])
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
  const { renew, show, end } = await openLog(other)
  await renew()
  await show()
  const [text, code] = await end()
  assert.deepEqual([found(text).length > 0, code], [true, null])
  await other.context().close()
})
