// nginx with the file of docs/edge-deploy.md. In a rolling deployment, two instances restart one after the other, and no
// request notices it. Without restarts, no request meets a connection that Node is about to close.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WHOLE } from '../../support/combinations.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { siteOfGuide, startNginx } from '../../support/edge/nginx.mjs'
import { freePort } from '../../support/listen.mjs'

const APP = fileURLToPath(new URL('../apps/restarting.mjs', import.meta.url))
const RESTARTS = WHOLE ? 20 : 4
const DRAIN = 0.2

const startInstance = (port) =>
  startServer(process.execPath, [APP, `${port}`, `${DRAIN}`], { env: {}, cwd: process.cwd() })

/** Sends requests until the returned function is called, which resolves with the number of responses by status. */
function load(origin, requests) {
  const counts = {}
  let isOver = false
  const one = async (path, init) => {
    while (!isOver) {
      const status = await fetch(origin + path, init).then(
        async (response) => (await response.text(), response.status),
        (error) => error.cause?.code ?? error.name,
      )
      counts[status] = (counts[status] ?? 0) + 1
    }
  }
  const all = requests.map(([path, init]) => one(path, init))
  return async () => {
    isOver = true
    await Promise.all(all)
    return counts
  }
}

const OWN = { 'X-Strongroom': '1', 'Sec-Fetch-Site': 'same-origin' }
const READ = ['/auth/session', { headers: OWN }]
const WRITE = ['/auth/logout', { method: 'POST', headers: OWN }]

// claim: handler-77
test(`${RESTARTS} restarts behind nginx lose no request`, { timeout: 120_000 }, async (t) => {
  const ports = [await freePort(), await freePort()]
  const listen = await freePort()
  const instances = await Promise.all(ports.map(startInstance))
  const nginx = await startNginx(await siteOfGuide(ports, listen))
  t.after(async () => {
    await nginx.stop()
    await Promise.all(instances.map(({ stop }) => stop()))
  })
  const origin = `http://127.0.0.1:${listen}`
  while (!(await fetch(`${origin}/auth/health/ready`).catch(() => {}))?.ok);
  const end = load(origin, [READ, READ, READ, WRITE, WRITE, WRITE])
  for (let n = 0; n < RESTARTS; n++) {
    const at = n % 2
    await instances[at].end('SIGTERM')
    instances[at] = await startInstance(ports[at])
  }
  const counts = await end()
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts))
})

/** Resolves with the side that closes an idle connection between nginx, which has this file, and a Node server. */
async function firstToClose(t, siteOf) {
  const server = createServer((request, response) => response.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const listen = await freePort()
  const { port } = server.address()
  const nginx = await startNginx(await siteOf([port, port], listen))
  t.after(() => server.close())
  t.after(nginx.stop)
  const connected = once(server, 'connection')
  while (!(await fetch(`http://127.0.0.1:${listen}/`).catch(() => {}))?.ok);
  const [socket] = await connected
  return Promise.race([once(socket, 'end').then(() => 'nginx'), once(socket, 'close').then(() => 'Node')])
}

// A POST that nginx sends while Node closes the connection gets 502. Both tests wait for the end of a connection.
describe('idle connections', { concurrency: true, timeout: 60_000 }, () => {
  test('nginx closes idle connections before Node does', async (t) => {
    assert.equal(await firstToClose(t, siteOfGuide), 'nginx')
  })

  test('control: Node closes idle connections before nginx does by default', async (t) => {
    const withDefault = async (...args) => (await siteOfGuide(...args)).replace(/ *keepalive_timeout.*\n/, '')
    assert.equal(await firstToClose(t, withDefault), 'Node')
  })
})
