/** Starts the proxies that are compared. All have the same provider and the same API. */
import { existsSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { executable, start, startServer } from '../../tests/support/edge/child.mjs'
import { packages as bunPackages } from '../../tests/support/edge/bun.mjs'
import { startNginx } from '../../tests/support/edge/nginx.mjs'
import { PLATFORMS } from '../../tests/support/edge/platforms.mjs'
import { freePort } from '../../tests/support/listen.mjs'
import { descendants } from '../edge/processor.mjs'

export const ORIGIN = 'https://app.example.com'
export const SECRET = 'a-secret-of-the-client'

/** The paths to which the provider may redirect a browser. */
export const CALLBACKS = ['/auth/callback', '/oauth2/callback']

const OAUTH2_PROXY = process.env.OAUTH2_PROXY_PATH || undefined
/** Bun's `fetch` has at most 256 requests at a time by default. */
const OF_BUN = { BUN_CONFIG_MAX_HTTP_REQUESTS: '65535' }
const file = (name) => fileURLToPath(new URL(name, import.meta.url))

const handler =
  (platform) =>
  async ({ issuer, upstream }) => {
    const { urls, stop } = await PLATFORMS[platform].start({
      app: new URL('handler.mjs', import.meta.url),
      coordinator: 'in-isolate',
      isolates: 1,
      env: {
        ISSUER: issuer,
        ORIGIN,
        UPSTREAM: `${upstream}/`,
        CLIENT_SECRET: SECRET,
        COOKIE_KEYS: randomBytes(32).toString('base64'),
        ...OF_BUN,
      },
    })
    return { url: urls[0], login: '/auth/login?returnTo=/home', stop }
  }

const plain =
  (command, args) =>
  async ({ upstream }) => {
    // As long as an access token of the provider.
    const env = { UPSTREAM: `${upstream}/`, AUTHORIZATION: `Bearer ${'a'.repeat(700)}`, ...OF_BUN }
    const server = await startServer(command(), args, { env, cwd: tmpdir() })
    return { url: `http://127.0.0.1:${server.said.port}`, stop: server.stop }
  }

async function oauth2Proxy({ issuer, upstream, refreshSeconds }) {
  const port = await freePort()
  const args = {
    'http-address': `127.0.0.1:${port}`,
    provider: 'oidc',
    'oidc-issuer-url': issuer,
    'client-id': 'web',
    'client-secret': SECRET,
    'redirect-url': `${ORIGIN}/oauth2/callback`,
    'cookie-secret': randomBytes(32).toString('base64url'),
    'cookie-refresh': `${refreshSeconds}s`,
    'email-domain': '*',
    'oidc-email-claim': 'sub',
    // The provider's access tokens are for the API, and not for UserInfo.
    'skip-claims-from-profile-url': 'true',
    scope: 'openid profile offline_access orders',
    prompt: 'consent',
    'code-challenge-method': 'S256',
    upstream,
    'skip-provider-button': 'true',
    'pass-access-token': 'true',
    'set-xauthrequest': 'true',
    'reverse-proxy': 'true',
    'request-logging': 'false',
    'auth-logging': 'false',
  }
  const options = Object.entries(args).map(([name, value]) => `--${name}=${value}`)
  const isReady = (line) => /HTTP: listening|OAuthProxy configured/i.test(line)
  const env = { PATH: process.env.PATH }
  const server = start(OAUTH2_PROXY, options, { env, cwd: tmpdir(), output: 'stderr', isReady })
  await Promise.race([server.firstLine, listens(port)])
  await listens(port)
  return { url: `http://127.0.0.1:${port}`, login: '/oauth2/start?rd=/home', stop: server.stop }
}

/** Resolves when a server listens on the port. Rejects after 10 seconds. */
async function listens(port) {
  for (const start = performance.now(); performance.now() - start < 10_000;) {
    try {
      return await (await fetch(`http://127.0.0.1:${port}/ping`, { redirect: 'manual' })).arrayBuffer()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  throw new Error(`no server listens on port ${port}`)
}

async function nginx(parts) {
  const behind = await oauth2Proxy(parts)
  const port = await freePort()
  const hop = 'proxy_http_version 1.1; proxy_set_header Connection "";'
  const site = `upstream api { server ${new URL(parts.upstream).host}; keepalive 64; }
upstream oauth2 { server ${new URL(behind.url).host}; keepalive 64; }
server {
  listen 127.0.0.1:${port};
  client_max_body_size 0; large_client_header_buffers 4 32k;
  proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k;
  keepalive_requests 1000000;
  location /oauth2/ { ${hop} proxy_set_header Host $host; proxy_pass http://oauth2; }
  location = /check {
    internal; ${hop} proxy_pass http://oauth2/oauth2/auth;
    proxy_pass_request_body off; proxy_set_header Content-Length "";
  }
  location / {
    auth_request /check;
    auth_request_set $token $upstream_http_x_auth_request_access_token;
    ${hop} proxy_set_header Authorization "Bearer $token"; proxy_set_header Cookie "";
    proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s;
    proxy_pass http://api;
  }
}`
  const server = await startNginx(site, 8192)
  await listens(port)
  const stop = async () => {
    await server.stop()
    await behind.stop()
  }
  return { url: `http://127.0.0.1:${port}`, login: behind.login, stop }
}

const NODE = handler('node')
const BUN = handler('bun')
const ROUTE = { path: '/headers/' }
const HAS_NGINX = existsSync(process.env.NGINX_PATH ?? '/usr/sbin/nginx')

/**
 * The proxies. The first is the one that the others are compared with. `path` is the prefix of the API's paths, and `as`
 * the name of a proxy whose process and session are used.
 */
export const CONTENDERS = {
  'plain Node': { start: plain(() => process.execPath, [file('plain.mjs')]) },
  'strongroom, Node': { start: NODE },
  'the same, `headers`': { as: 'strongroom, Node', ...ROUTE },
  'plain Bun': { start: plain(() => executable('Bun', bunPackages), ['run', file('plain_bun.mjs')]) },
  'strongroom, Bun': { start: BUN },
  ...(OAUTH2_PROXY && { 'oauth2-proxy': { start: oauth2Proxy } }),
  ...(OAUTH2_PROXY && HAS_NGINX && { 'nginx, oauth2-proxy': { start: nginx } }),
}

/** Why columns are missing. */
export const MISSING = [
  !OAUTH2_PROXY && 'Without Go and its network, oauth2-proxy cannot be built, and its columns are missing.',
  OAUTH2_PROXY && !HAS_NGINX && 'nginx is missing, and with it a column.',
].filter(Boolean)

/** Starts a proxy. `pids()` are the processes that it consists of. */
export async function startContender(name, parts) {
  const before = new Set(descendants(process.pid))
  const running = await CONTENDERS[name].start(parts)
  const own = descendants(process.pid).filter((pid) => !before.has(pid))
  return { ...running, pids: own }
}
