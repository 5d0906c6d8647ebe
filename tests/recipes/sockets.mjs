/** Clients that take a `WebSocket` or `EventSource` class, with a real vault in Chromium. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { build } from 'esbuild'
import { WebSocketServer } from 'ws'
import { giveConsent } from '../support/app.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { listen } from '../support/listen.mjs'
import { CLIENT_ID, startServers } from '../support/servers.mjs'
import { readGuide } from './guide.mjs'
import { createProject, versionOf, write } from './project.mjs'

const guide = await readGuide('docs/clients.md')

/** The API of the guide, which is on loopback here. */
const API = 'https://api.example.com/'
const ORDERS = [{ id: 1041 }]

const SIGNALR = guide.block('const connection = new HubConnectionBuilder()')

/** The page, whose functions resolve with the orders. `impl` is the class for graphql-ws. */
const pageFile = (impl) => `
import { createTRPCClient, httpSubscriptionLink } from '@trpc/client'
import { createClient } from 'graphql-ws'
import { createAuth } from 'strongroom'
${SIGNALR.match(/^import .*$/m)[0]}

const auth = createAuth({
  shared: () => new SharedWorker('/auth.worker.js', { type: 'module' }),
  dedicated: () => new Worker('/auth.worker.js', { type: 'module' }),
})
${guide.block('const VaultWebSocket')}

async function signalr() {
${SIGNALR.replace(/^import .*$/m, '')}
  await connection.start()
  const orders = await connection.invoke('orders')
  await connection.stop()
  return orders
}

function graphqlWs() {
  const url = '${API}graphql'.replace('http', 'ws')
  const client = createClient({ url, webSocketImpl: ${impl}, retryAttempts: 0 })
  return new Promise((resolve, reject) => {
    const next = ({ data }) => resolve(data.orders)
    client.subscribe({ query: 'subscription { orders { id } }' }, { next, error: reject, complete() {} })
  })
}

function trpc() {
  const link = httpSubscriptionLink({ url: '${API}trpc', EventSource: VaultEventSource })
  return new Promise((resolve, reject) => {
    createTRPCClient({ links: [link] }).orders.subscribe(undefined, { onData: resolve, onError: reject })
  })
}

await auth.connect()
Object.assign(globalThis, { auth, calls: { signalr, graphqlWs, trpc } })
`

const workerFile = ({ provider }) => `
import { vault } from 'strongroom/worker'
vault({
  issuer: '${provider.issuer}',
  clientId: '${CLIENT_ID}',
  redirectUri: '/callback',
  scope: 'openid profile offline_access orders',
  consent: 'always',
  ${guide.block("// in the worker's file: ASP.NET Core")}
})
`

/** Responses to the messages of each protocol. */
const PROTOCOLS = {
  '/hub': (text, send) => {
    for (const message of text.split('\x1e').filter(Boolean)) {
      const { protocol, target, invocationId } = JSON.parse(message)
      if (protocol) send('{}\x1e')
      if (target === 'orders') send(`${JSON.stringify({ type: 3, invocationId, result: ORDERS })}\x1e`)
    }
  },
  '/graphql': (text, send) => {
    const { type, id } = JSON.parse(text)
    if (type === 'connection_init') send('{"type":"connection_ack"}')
    if (type === 'subscribe') {
      send(JSON.stringify({ type: 'next', id, payload: { data: { orders: ORDERS } } }))
    }
  },
}

/** Starts the API: sockets that need a token in the query, and a subscription of tRPC that needs one in a header. */
async function startApi(project, allowed) {
  const require = createRequire(`${project}/`)
  const { initTRPC } = require('@trpc/server')
  const { createHTTPHandler } = require('@trpc/server/adapters/standalone')
  const { router, procedure } = initTRPC.create()
  const orders = procedure.subscription(async function* () {
    yield ORDERS
  })
  const respond = createHTTPHandler({ router: router({ orders }), basePath: '/trpc/' })
  const sockets = new WebSocketServer({ noServer: true })
  const admitted = []
  const server = await listen({
    handler(request, response) {
      response.setHeader('Access-Control-Allow-Origin', allowed)
      response.setHeader(
        'Access-Control-Allow-Headers',
        request.headers['access-control-request-headers'] ?? '',
      )
      if (request.method === 'OPTIONS') return response.writeHead(204).end()
      if (!request.headers.authorization) return response.writeHead(401).end()
      admitted.push('/trpc')
      return respond(request, response)
    },
    upgrade(request, stream, head) {
      const { pathname, searchParams } = new URL(request.url, 'ws://api')
      if (!searchParams.has('access_token')) return stream.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
      admitted.push(pathname)
      sockets.handleUpgrade(request, stream, head, (socket) =>
        socket.on('message', (data) => PROTOCOLS[pathname](String(data), (text) => socket.send(text))),
      )
    },
  })
  const close = async () => {
    for (const socket of sockets.clients) socket.terminate()
    await server.close()
  }
  return { origin: server.origin, admitted, close }
}

async function buildApp(project, servers, api, impl) {
  const toLoopback = (text) => text.replaceAll(API, `${api.origin}/`)
  await write(project, {
    'sockets/page.ts': toLoopback(pageFile(impl)),
    'sockets/auth.worker.js': toLoopback(workerFile(servers)),
    'built/index.html':
      '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
  })
  await build({
    absWorkingDir: project,
    entryPoints: ['sockets/page.ts', 'sockets/auth.worker.js'],
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    outdir: 'built',
    logLevel: 'error',
  })
  const module = 'strongroom_bg.wasm'
  await copyFile(`${project}/node_modules/strongroom/dist/${module}`, `${project}/built/${module}`)
  const { site, provider } = servers
  site.roots.push(`${project}/built`)
  site.connectSrc = [provider.issuer, api.origin, api.origin.replace('http', 'ws')]
  site.workers = { includes: (path) => path.endsWith('.js') }
  site.pageCsp = "default-src 'none'; script-src 'self'; worker-src 'self'; img-src data:"
}

/** Signs in and calls a function of the page. Resolves with the function's result. */
async function callPage(browser, { origin }, name) {
  const page = await browser.newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(origin)
  await page.waitForFunction(() => globalThis.auth)
  await page.evaluate(() => void auth.login())
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.session)
  return page.evaluate((called) => calls[called](), name)
}

async function runPage({ tarball }, { name, path, tool, impl = 'VaultWebSocket' }) {
  const project = await createProject('clients', tarball)
  const opened = []
  const keep = (opening) => opening.then((closable) => opened.push(closable) && closable)
  try {
    const servers = await keep(startServers())
    const api = await keep(startApi(project, servers.site.origin))
    const browser = await keep(launchBrowser())
    await buildApp(project, servers, api, impl)
    assert.deepEqual(await callPage(browser, servers.site, name), ORDERS)
    assert.deepEqual(new Set(api.admitted), new Set([path]))
  } finally {
    for (const closable of opened.reverse()) await closable.close()
  }
  return versionOf(project, tool)
}

const GRAPHQL = { name: 'graphqlWs', path: '/graphql', tool: 'graphql-ws' }

export const RECIPES = [
  {
    name: 'SignalR with a socket',
    run: (tools) => runPage(tools, { name: 'signalr', path: '/hub', tool: '@microsoft/signalr' }),
  },
  { name: 'graphql-ws', run: (tools) => runPage(tools, GRAPHQL) },
  {
    name: 'graphql-ws without the class',
    fails: /WebSocket implementation/,
    run: (tools) => runPage(tools, { ...GRAPHQL, impl: 'auth.webSocket' }),
  },
  {
    name: 'tRPC, httpSubscriptionLink',
    run: (tools) => runPage(tools, { name: 'trpc', path: '/trpc', tool: '@trpc/client' }),
  },
]
