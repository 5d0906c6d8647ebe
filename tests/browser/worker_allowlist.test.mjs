// The `Connection-Allowlist` of the worker's file: in Chromium, the worker reaches the provider's endpoints and the
// addresses of the rules, by path, and nothing else.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { securityHeaders } from '../../pkg/dist/headers.js'
import { call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }
const NAME = 'Connection-Allowlist'
const WORKER = '/auth.worker.js'

const CONFIG = { issuer: 'https://id.example.com', apis: [{ url: 'https://api.example.com/v1/' }] }
const OPTIONS = { origin: 'https://app.example.com', worker: WORKER }
const METADATA = { token_endpoint: 'https://id.example.com/token', jwks_uri: 'https://id.example.com/keys' }

/** Returns the list for these changes of the configuration and the options. */
const listOf = (config = {}, options = {}) =>
  securityHeaders({ ...CONFIG, ...config }, { ...OPTIONS, ...options }).worker[NAME]

test('without metadata, the list has the issuer’s origin and the paths of the rules', () => {
  assert.equal(
    listOf(),
    '(response-origin "https://id.example.com" "https://api.example.com/v1/*");redirects=allow',
  )
  const apis = [
    { url: '/own/' },
    { url: 'https://api.example.com/v1/', webSocket: { token: 'protocol' } },
    { url: 'https://id.example.com/me', exact: true },
  ]
  assert.equal(
    listOf({ apis }),
    '(response-origin "https://id.example.com" "https://api.example.com/v1/*" "https://id.example.com/me");redirects=allow',
  )
})

test('with metadata, the list has the endpoints, and the documents with the metadata', () => {
  const issuer = 'https://id.example.com/realms/a'
  const documents = '"https://id.example.com/.well-known/*" "https://id.example.com/realms/a/.well-known/*"'
  const [token, keys] = ['"https://id.example.com/token"', '"https://id.example.com/keys"']
  const expected = `(response-origin ${documents} ${token} ${keys} "https://api.example.com/v1/*");redirects=allow`
  assert.equal(listOf({ issuer }, { metadata: METADATA }), expected)
  assert.equal(listOf({ issuer, metadata: METADATA }), expected)
  // Without the keys' address the vault looks for the rest of the metadata when it runs.
  assert.match(
    listOf({ metadata: { token_endpoint: 'https://t.example.com/' } }),
    /"https:\/\/id\.example\.com"/,
  )
})

test('the list has each endpoint that a vault can request', () => {
  const names = ['revocation', 'pushed_authorization_request', 'device_authorization', 'userinfo']
  const more = Object.fromEntries(
    names.map((name) => [`${name}_endpoint`, `https://${name[0]}.example.com/e`]),
  )
  const list = listOf({ userInfo: true }, { metadata: { ...METADATA, ...more } })
  for (const name of names) assert.ok(list.includes(`"https://${name[0]}.example.com/e"`), name)
  const identity = { url: 'https://people.example.com/me', sub: 'id' }
  assert.ok(listOf({ identity }).includes('"https://people.example.com/me"'))
  assert.ok(!list.includes('authorization_endpoint'))
})

test('characters of a path have no meaning in a pattern', () => {
  const token_endpoint = 'https://id.example.com/a:b(c)+*/token?p=x'
  const list = listOf({}, { metadata: { ...METADATA, token_endpoint } })
  assert.ok(list.includes(String.raw`"https://id.example.com/a\\:b\\(c\\)\\+\\*/token?p=x"`), list)
})

let app
before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  const [rule] = app.config.apis
  app.setConfig({ apis: [{ ...rule, webSocket: { token: 'protocol', prefix: 'bearer.' } }] })
  // Messages from the page let the worker send requests that no rule allows.
  const { files } = app.site
  files[WORKER] += `
const channel = new BroadcastChannel('allowlist')
channel.onmessage = async ({ data }) =>
  channel.postMessage(await fetch(data, { mode: 'no-cors' }).then(() => 'reached', (error) => error.name))
`
})
after(() => app?.close())

/** Serves the worker's file with the list, and without a policy, which would also stop its requests. */
async function openWith(list) {
  const undo = app.site.override(WORKER, { headers: { [NAME]: list, 'Content-Security-Policy': null } })
  const page = await app.open()
  return {
    page,
    close: async () => {
      await page.context().close()
      undo()
    },
  }
}

/** Resolves with the list for the app's provider. */
async function generated() {
  const { site, config, provider } = app
  const metadata = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json()
  return securityHeaders(config, { origin: site.origin, worker: WORKER, metadata }).worker[NAME]
}

/** Lets the worker request an address. */
const request = (page, url) =>
  page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const channel = new BroadcastChannel('allowlist')
        channel.onmessage = ({ data }) => resolve(data)
        channel.postMessage(address)
      }),
    url,
  )

test('under its list the vault signs in, refreshes, calls and signs out', time, async () => {
  const { page, close } = await openWith(await generated())
  const booted = await signIn(page)
  assert.equal(booted.error, undefined, JSON.stringify(booted))
  const called = await call(page, `${app.api.url}me`)
  assert.equal(called.value?.status, 200, JSON.stringify(called))
  assert.equal((await call(page, `${app.api.url}echo?a=b`)).value?.status, 200)
  assert.equal((await call(page, `${app.api.url}redirect`)).error?.code, 'redirect_blocked')
  const opened = await page.evaluate(
    (url) => {
      const socket = auth.webSocket(url, 'echo')
      return new Promise((resolve) => {
        for (const type of ['open', 'error', 'close']) socket.addEventListener(type, () => resolve(type))
      })
    },
    `${app.api.url.replace('http', 'ws')}live/echo`,
  )
  assert.equal(opened, 'open')
  await page.evaluate(() => auth.logout())
  assert.equal(app.ledger.familyRevoked(), true)
  await close()
})

// claim: script-26
test('the worker reaches no other path, and no other server', time, async () => {
  const list = await generated()
  const others = [`${app.api.origin}/open/x`, `${app.provider.issuer}/auth`, `${app.api.origin}/v1`]
  const { page, close } = await openWith(list)
  await signIn(page)
  for (const url of others) assert.equal(await request(page, url), 'TypeError', url)
  assert.equal(await request(page, `${app.api.url}me`), 'reached')
  await close()
  const free = await openWith(null)
  await signIn(free.page)
  for (const url of others) assert.equal(await request(free.page, url), 'reached', `control: ${url}`)
  await free.close()
})
