// Tests the destinations to which the vault's `apis` lets a page send requests. capabilities/egress.mjs of the engines has
// redirects, and the policy in the worker's headers.
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { booted, call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 20_000 }

let app
let page

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  const methods = ['GET', 'HEAD', 'POST']
  app.setConfig({ apis: [{ url: app.api.url, methods }] })
  page = await app.open()
  await signIn(page)
})
after(() => app?.close())
beforeEach(() => app.api.clear())

const origin = () => new URL(app.api.url).origin

const ADDRESSES = {
  'the page’s own origin': () => `${app.site.origin}/v1/me`,
  'a relative address': () => '/v1/me',
  'the API beside the rule': () => `${origin()}/v2/me`,
  'the rule’s path without its slash': () => `${origin()}/v1`,
  'a path that starts like the rule’s': () => `${origin()}/v1evil/me`,
  'an escape by dots': () => `${app.api.url}../admin`,
  'an escape by encoded dots': () => `${app.api.url}%2e%2e/admin`,
  'an escape by an encoded slash': () => `${app.api.url}..%2fadmin`,
  'an escape by twice encoded dots': () => `${app.api.url}%252e%252e/admin`,
  'an escape by a backslash': () => `${app.api.url}..\\admin`,
  'another port': () => app.api.url.replace(/:\d+\//, ':9/'),
  'another scheme': () => app.api.url.replace('http:', 'https:'),
  'another name of the same host': () => app.api.url.replace('127.0.0.1', 'localhost'),
  'the token endpoint': () => `${app.provider.issuer}/token`,
  'the revocation endpoint': () => `${app.provider.issuer}/token/revocation`,
  'a data: address': () => 'data:text/plain,x',
}

for (const [name, address] of Object.entries(ADDRESSES)) {
  // claim: script-7
  test(`url_not_allowed: ${name}`, time, async () => {
    const { error } = await call(page, address())
    assert.equal(error?.code, 'url_not_allowed')
    assert.deepEqual(app.api.requests, [])
  })
}

// claim: script-7
test('method_not_allowed', time, async () => {
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
    const { error } = await call(page, `${app.api.url}echo`, { method })
    assert.equal(error?.code, 'method_not_allowed', method)
  }
  assert.deepEqual(app.api.requests, [])
})

// claim: script-10
test('header_not_allowed', time, async () => {
  for (const name of ['Authorization', 'authorization', 'DPoP', 'X-HTTP-Method-Override']) {
    const { error } = await call(page, `${app.api.url}echo`, { headers: { [name]: 'x' } })
    assert.equal(error?.code, 'header_not_allowed', name)
  }
  assert.deepEqual(app.api.requests, [])
})

// claim: script-10
test('headers reserved to browsers do not reach the API', time, async () => {
  const headers = { Cookie: 'a=b', 'Proxy-Authorization': 'x', Host: 'evil.test', 'Sec-Fetch-Site': 'none' }
  await call(page, `${app.api.url}echo`, { headers })
  const [request] = app.api.requests
  assert.ok(request)
  assert.equal(request.headers.cookie, undefined)
  assert.equal(request.headers['proxy-authorization'], undefined)
  assert.notEqual(request.headers['sec-fetch-site'], 'none')
})

test('an enormous request head is refused without a hang', time, async () => {
  const { error } = await call(page, `${app.api.url}echo?${'x'.repeat(300_000)}`)
  assert.ok(['message_invalid', 'limit_exceeded'].includes(error?.code), error?.code)
  const { value } = await call(page, `${app.api.url}echo`)
  assert.equal(value.status, 200)
})

// Malformed messages, which script of a page can send to the vault. They must not reveal or damage anything.
const GARBAGE = [
  undefined,
  null,
  true,
  'text',
  {},
  [],
  [1, 2, 3],
  [''],
  ['{'],
  ['{}'],
  ['[]'],
  ['{"t":"fetch"}'],
  ['{"t":"fetch","id":1,"url":"x","method":"GET","headers":[]}'],
  ['{"t":"token","id":1}'],
  ['{"t":"inspect","id":1}'],
  [`{"t":"login","id":1,"mode":"popup","returnTo":"${'x'.repeat(200_000)}"}`],
  ['['.repeat(100_000)],
  -1,
  Number.MAX_SAFE_INTEGER,
]

// claim: script-3
test('malformed messages do not change the vault', time, async () => {
  const answers = await page.evaluate(async (messages) => {
    const { port1: port, port2 } = new MessageChannel()
    const answers = []
    port.onmessage = ({ data }) => answers.push(data)
    create.shared().port.postMessage('strongroom', [port2])
    port.postMessage([JSON.stringify({ t: 'hello', version: 1 })])
    for (const message of messages) port.postMessage(message)
    // The response to this message comes last, because a port keeps the order of messages.
    port.postMessage([JSON.stringify({ t: 'inspect', id: 999 })])
    while (!answers.some(([text]) => /"id":999\b/.test(text)))
      await new Promise((next) => setTimeout(next, 10))
    return answers
  }, GARBAGE)
  assert.doesNotMatch(JSON.stringify(answers), /token_type|eyJ/)
  const { value } = await call(page, `${app.api.url}echo`)
  assert.equal(value.status, 200)
})

// claim: site-1
test('another browser session does not share the session', time, async () => {
  const other = await app.open()
  await booted(other)
  const { error } = await call(other, `${app.api.url}me`)
  assert.equal(error.code, 'login_required')
})
