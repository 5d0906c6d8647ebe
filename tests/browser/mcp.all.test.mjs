// The client of MCP's SDK, with `auth.fetch` and alone: it calls two tools at once with a token that the server refuses.
import assert from 'node:assert/strict'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { after, before, beforeEach, test } from 'node:test'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { auth, discoverAuthorizationServerMetadata } from '@modelcontextprotocol/sdk/client/auth.js'
import { signIn, startApp } from '../support/app.mjs'
import { bundleForPage } from '../support/bundle.mjs'
import { newFolder } from '../support/edge/bundle.mjs'
import { start } from '../support/edge/child.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { freePort } from '../support/listen.mjs'
import { sendJson } from '../support/responses.mjs'
import { connectTools, callAll } from './clients/mcp.js'

const time = { timeout: 60_000 }
const TOOLS = ['one', 'two']

let app, url
/** The header of the last request, and the one that the server refuses. */
let last, refused
let held

before(async () => {
  app = await startApp()
  url = `${app.api.url}mcp`
  app.site.files['/mcp.js'] = await bundleForPage(new URL('clients/mcp.js', import.meta.url))
  app.api.mount('mcp', respond)
})
after(() => app?.close())
beforeEach(() => {
  refused = undefined
  held = []
})

async function respond(request, response) {
  // The SDK's client also asks for a stream of notifications, which this server does not have.
  if (request.method !== 'POST') return sendJson(response, 405, {})
  last = request.headers.authorization
  if (last === refused) return refuse(response)
  const server = new McpServer({ name: 'a test', version: '1.0.0' })
  for (const name of TOOLS) {
    server.registerTool(name, {}, () => ({ content: [{ type: 'text', text: `${name} is done` }] }))
  }
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  await server.connect(transport)
  await transport.handleRequest(request, response)
}

/** Refuses the requests once all have arrived. */
function refuse(response) {
  held.push(response)
  if (held.length < TOOLS.length) return
  const error = { error: 'invalid_token' }
  for (const one of held) sendJson(one, 401, error, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
}

/** Resolves with the results of two calls whose token is refused, and with what the provider then did. */
async function outcome(call) {
  const before = app.ledger.refreshes().length
  refused = last
  const results = await call()
  const refreshes = app.ledger.refreshes().length - before
  return { results, refreshes, isRevoked: app.ledger.familyRevoked() }
}

test('two calls of tools cause one refresh, and succeed', time, async () => {
  const page = await app.open()
  await signIn(page)
  await page.evaluate(async (address) => {
    const { connectTools, callAll } = await import('/mcp.js')
    const client = await connectTools(address, { fetch: auth.fetch })
    globalThis.call = (names) => callAll(client, names)
  }, url)
  const seen = await outcome(() => page.evaluate((names) => call(names), TOOLS))
  assert.deepEqual(seen, { results: ['one is done', 'two is done'], refreshes: 1, isRevoked: false })
})

test('control: the SDK alone refreshes twice, and loses the session', time, async () => {
  const authProvider = await signInAlone()
  const client = await connectTools(url, { authProvider })
  const { results, refreshes, isRevoked } = await outcome(() => callAll(client, TOOLS))
  assert.ok(refreshes > 1 && isRevoked, `${refreshes} refreshes`)
  assert.ok(results.includes('InvalidGrantError'), `${results}`)
})

/** Starts the server of docs/mcp.md for the provider and the page of `app`. Resolves with its address. */
async function startGreeter(t, { issuer }, { origin }) {
  const guide = await readFile(new URL('../../docs/mcp.md', import.meta.url), 'utf8')
  let [, script] = /```js\n(\/\/ server\.mjs.*?)```/s.exec(guide)
  const port = await freePort()
  const values = { 'http://127.0.0.1:4401': issuer, 'http://localhost:5173': origin, 3001: `${port}` }
  for (const [from, to] of Object.entries(values)) {
    assert.ok(script.includes(from), from)
    script = script.replaceAll(from, to)
  }
  const folder = await newFolder()
  t.after(() => folder.remove())
  for (const name of ['@modelcontextprotocol', 'jose']) {
    const own = fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url))
    await symlink(own, join(folder.path, 'node_modules', name))
  }
  await writeFile(join(folder.path, 'server.mjs'), script)
  const server = start(process.execPath, ['server.mjs'], { env: {}, cwd: folder.path })
  t.after(server.stop)
  return server.firstLine
}

test('server of the guide accepts only tokens for its own address', time, async (t) => {
  // Users without a session of the other tests.
  const own = await startApp()
  t.after(() => own.close())
  const address = await startGreeter(t, own.provider, own.site)
  own.site.connectSrc.push(new URL(address).origin)
  own.site.files['/mcp.js'] = await bundleForPage(new URL('clients/mcp.js', import.meta.url))
  const greeting = async (config) => {
    own.setConfig({
      apis: [{ url: address, exact: true, methods: ['GET', 'POST', 'DELETE'] }],
      scope: 'openid offline_access',
      ...config,
    })
    const page = await own.open()
    await signIn(page)
    return page.evaluate(async (address) => {
      const { connectTools, callAll } = await import('/mcp.js')
      const connected = connectTools(address, { fetch: auth.fetch })
      return connected.then((client) => callAll(client, ['greet'])).catch(({ code }) => code)
    }, address)
  }
  assert.deepEqual(await greeting({ resource: address }), ['Hello, alice.'])
  // The provider's token is for the demo's API then.
  assert.equal(await greeting({}), 401)
})

/** Signs in with the SDK's own OAuth client. Resolves with the part of it that an app writes, which keeps the tokens. */
async function signInAlone() {
  const { issuer } = app.provider
  const redirectUrl = `${app.site.origin}/callback`
  const found = {
    authorizationServerUrl: issuer,
    authorizationServerMetadata: await discoverAuthorizationServerMetadata(issuer),
    resourceMetadata: { resource: url },
  }
  const kept = {}
  const authProvider = {
    redirectUrl,
    clientMetadata: { redirect_uris: [redirectUrl], scope: 'openid offline_access orders' },
    clientInformation: () => ({ client_id: app.clientId }),
    discoveryState: () => found,
    // The API's tokens are for a name, not for the server's URL.
    validateResourceURL: () => undefined,
    tokens: () => kept.tokens,
    saveTokens: (tokens) => Object.assign(kept, { tokens }),
    codeVerifier: () => kept.verifier,
    saveCodeVerifier: (verifier) => Object.assign(kept, { verifier }),
    redirectToAuthorization: (address) => Object.assign(kept, { address }),
  }
  await auth(authProvider, { serverUrl: url })
  const visitor = new Visitor({ origin: app.site.origin, urls: [] })
  const isBack = ({ origin }) => origin === app.site.origin
  const { address } = await visitor.authorize(kept.address, { until: isBack })
  await auth(authProvider, { serverUrl: url, authorizationCode: address.searchParams.get('code') })
  return authProvider
}
