import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { freePort, listen } from '../listen.mjs'
import { until } from '../until.mjs'
import { newFolder } from './bundle.mjs'
import { start } from './child.mjs'
import { publicClient, startPublicProvider } from './in_process.mjs'
import { guardedSite, startNginx } from './nginx.mjs'

/** The secret of the guard. */
export const SECRET = randomBytes(32).toString('hex')

/**
 * Starts a site behind a proxy that has the file of docs/oauth2-proxy.md, with a handler and a provider.
 *
 * @param {'nginx' | 'Caddy'} name The proxy.
 * @param {object} site
 * @param {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => void} site.handler
 * @param {(request: import('node:http').IncomingMessage, socket: import('node:net').Socket, head: Buffer) => void}
 *   site.upgrade
 * @param {string} [site.origin] The origin that browsers see. Default: the proxy's own on loopback.
 * @param {Record<string, string>} [site.changes] Texts of the proxy's file, each with the text in its place.
 */
export async function startGuardedSite(name, { handler: respond, upgrade, origin: seenAs, changes = {} }) {
  const port = await freePort()
  const origin = seenAs ?? `http://localhost:${port}`
  const provider = await startPublicProvider({
    accessTokenSeconds: 3,
    redirectUris: [`${origin}/auth/callback`],
  })
  /** The requests that reach the site. */
  const seen = []
  const note = ({ method, url, headersDistinct: headers }, body) => seen.push({ method, url, headers, body })
  const site = await listen({
    async handler(request, response) {
      let body = ''
      for await (const piece of request) body += piece
      note(request, body)
      respond(request, response)
    },
    upgrade(request, socket, head) {
      note(request)
      upgrade(request, socket, head)
    },
  })
  const [store, memory] = [{ isDown: false }, inIsolate()(undefined)]
  const whileUp =
    (method) =>
    async (...args) => {
      if (store.isDown) throw new Error('the store is down')
      return memory[method](...args)
    }
  const methods = ['read', 'swap', 'wait'].map((method) => [method, whileUp(method)])
  const config = {
    ...publicClient(provider),
    origin,
    session: { storage: 'in-store', recheck: 0 },
    guards: { site: { secret: SECRET, identity: { 'X-User': 'sub', 'X-User-Email': 'email' } } },
  }
  const handler = createTokenHandler({
    ...config,
    coordinator: () => Object.fromEntries(methods),
    log: () => {},
  })
  const own = await listen({ handler: toNodeListener(handler) })
  /** The bytes of bodies that arrive at the port for checks. */
  const bodies = []
  const answer = toNodeListener(handler.check)
  const check = await listen({
    handler(request, response) {
      request.on('data', (piece) => bodies.push(piece.length))
      answer(request, response)
    },
  })
  const ports = { site: site.port, handler: own.port, check: check.port }
  const proxy = await PROXIES[name](ports, { port, origin: new URL(origin), changes })
  const url = `http://127.0.0.1:${port}`
  const isReady = () => {
    proxy.throwIfEnded()
    return fetch(`${url}/auth/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
  }
  await until(isReady)
  return {
    origin,
    url,
    /** The port for checks, which only the proxy should reach. */
    check: check.origin,
    /** The configuration of the handler, as JSON has it. */
    config,
    /** Ends the site. Resolves with its port, at which the proxy still expects it. */
    async leave() {
      await site.close()
      return site.port
    },
    seen,
    bodies,
    store,
    async close() {
      await proxy.stop()
      await Promise.all([site, own, check, provider].map((one) => one.close()))
    },
  }
}

const PROXIES = {
  async nginx({ site, handler, check }, { port, origin, changes }) {
    const file = await guardedSite('nginx', {
      '127.0.0.1:8081': `127.0.0.1:${handler}`,
      '127.0.0.1:4181': `127.0.0.1:${check}`,
      '127.0.0.1:3000': `127.0.0.1:${site}`,
      'listen 443 ssl;': `listen 127.0.0.1:${port};`,
      'the value of CHECK_SECRET': SECRET,
      // As if TLS ended at this proxy, with its usual port.
      'X-Forwarded-Proto $scheme': `X-Forwarded-Proto ${origin.protocol.slice(0, -1)}`,
      'X-Forwarded-Host $http_host': `X-Forwarded-Host ${origin.host}`,
      // An operator's own locations inherit the headers for the site.
      '  location / {':
        '  location /own/ { proxy_pass http://site; client_max_body_size 50m; }\n  location /open/ { auth_request off; proxy_pass http://site; }\n  location / {',
      ...changes,
    })
    return startNginx(file)
  },
  async Caddy({ site, handler, check }, { port, origin, changes }) {
    const file = await guardedSite('text', {
      '127.0.0.1:8081': `127.0.0.1:${handler}`,
      '127.0.0.1:4181': `127.0.0.1:${check}`,
      '127.0.0.1:3000': `127.0.0.1:${site}`,
      'app.example.com {': `http://:${port} {\n  bind 127.0.0.1`,
      '      uri /site?': `      uri /site?\n      header_up X-Forwarded-Proto ${origin.protocol.slice(0, -1)}\n      header_up X-Forwarded-Host ${origin.host}`,
      ...changes,
    })
    const folder = await newFolder()
    await writeFile(`${folder.path}/Caddyfile`, `{\n  admin off\n  auto_https off\n}\n${file}`)
    const server = start(
      process.env.CADDY_PATH,
      ['run', '--config', `${folder.path}/Caddyfile`, '--adapter', 'caddyfile'],
      {
        env: { PATH: process.env.PATH, HOME: folder.path, CHECK_SECRET: SECRET },
        cwd: folder.path,
        endBy: 'SIGTERM',
      },
    )
    return {
      throwIfEnded: server.throwIfEnded,
      async stop() {
        await server.stop()
        await folder.remove()
      },
    }
  },
}
