// A Node process ends during a refresh: it is killed, or stops as docs/edge-deploy.md describes. Another process, which uses
// the same Redis, then serves the session.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as open } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { leftOut, rows } from '../../support/combinations.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { platform } from '../../support/edge/start.mjs'

/**
 * The time limit in milliseconds for the next refresh after a process has died. The lease of the dead process lasts for
 * eight seconds, and tests/isolates/rotation.rs tests the exact limit in virtual time.
 */
const TAKEN_OVER = 20_000

const guide = readFileSync(new URL('../../../docs/edge-deploy.md', import.meta.url), 'utf8')

/** The guide's lines that stop a Node server. */
const [ON_SIGTERM] = /^process\.once\('SIGTERM'[^]*?^}\)$/m.exec(guide)

/** The app's own code: it keeps the process busy from its response's first byte on, until a file exists. */
const BUSY = '/busy?'

/**
 * Returns the platform Node with the guide's graceful stop. The platform adds its processes to `started`. `more` has
 * variables of single processes.
 */
const node = (started, more = []) =>
  platform({
    coordinators: ['node-redis'],
    entry: ({ imports, handler }) => `
      import { existsSync } from 'node:fs'
      import { createServer } from 'node:http'
      import { toNodeListener } from 'strongroom/edge/node'
      ${imports}
      const listener = toNodeListener(${handler})
      const beBusy = (path, response) => {
        response.write('busy')
        setImmediate(() => {
          while (!existsSync(path));
          response.end()
        })
      }
      const server = createServer((request, response) => {
        const [own, path] = request.url.split('${BUSY}')
        own === '' && path ? beBusy(path, response) : listener(request, response)
      })
      server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
      ${ON_SIGTERM}`,
    bundling: { name: 'entry.mjs', platform: 'node', conditions: ['node', 'import', 'module'] },
    async serve({ folder, file, env, isolates }) {
      for (let i = 0; i < isolates; i++)
        started.push(
          await startServer(process.execPath, [file], {
            env: { ...env, STANDS_STILL: '1', ...more[i] },
            cwd: folder,
          }),
        )
      return {
        urls: started.map(({ said }) => `http://127.0.0.1:${said.port}`),
        stop: async () => void (await Promise.all(started.map((server) => server.stop()))),
      }
    },
  })

/** Resolves when the process no longer accepts connections. */
async function refusesConnections(url) {
  const { hostname, port } = new URL(url)
  for (;;) {
    const socket = connect(port, hostname)
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (!isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// Both groups mostly wait.
describe('Node', { concurrency: 2, timeout: 240_000 }, () => {
  describe('a Node process that ends during a refresh', { concurrency: 1, timeout: 240_000 }, () => {
    const started = []
    let app, faults, ledger, settings
    let release = () => {}
    before(async () => {
      app = await startApp(node(started), { isolates: 4 })
      ;({ faults, ledger, settings } = app.provider)
    })
    afterEach(() => release())
    after(() => app?.stop())

    /**
     * Signs a user in and waits until the access token has expired. The next token request will wait at the provider.
     *
     * @returns The user's `visitor`, the function `refreshes`, which returns the refreshes since now, and `isHeld`, a
     *   promise that resolves when the next token request has reached the provider.
     */
    async function expired(fault = {}) {
      const visitor = app.visitor()
      settings.accessTokenSeconds = 2
      await visitor.signIn({ isolate: 3 })
      await app.provider.letAccessTokenExpire()
      const since = ledger.refreshes().length
      const refreshes = () => ledger.refreshes().slice(since)
      const hold = new Promise((resolve) => (release = resolve))
      faults.add('token', { hold, ...fault })
      return { visitor, refreshes, isHeld: faults.taken() }
    }

    // claim: handler-48
    test('killed process blocks its session for seconds', async () => {
      // The request of the dead process is dropped, so the provider never acts on it.
      const { visitor, refreshes, isHeld } = await expired({ drop: true })
      const lost = assert.rejects(visitor.call('/api/me', { isolate: 0 }), { code: 'ECONNRESET' })
      await isHeld
      assert.deepEqual(await started[0].end('SIGKILL'), { code: null, signal: 'SIGKILL' })
      const died = Date.now()
      await lost
      const response = await visitor.call('/api/me', { isolate: 3 })
      const waited = refreshes().at(-1)?.at - died
      assert.ok(waited < TAKEN_OVER, `${waited} ms`)
      assert.equal(response.status, 200)
      assert.deepEqual(
        refreshes().map(({ outcome }) => outcome),
        ['issued'],
      )
      assert.equal(ledger.familyRevoked(), false)
    })

    // claim: handler-58
    test('stopped process sends the response of its refresh first', async () => {
      const { visitor, refreshes, isHeld } = await expired()
      const other = visitor.copy()
      const response = visitor.call('/api/me', { isolate: 1 })
      await isHeld
      const end = started[1].end('SIGTERM')
      await refusesConnections(app.urls[1])
      release()
      assert.equal((await response).status, 200)
      assert.deepEqual(await end, { code: 0, signal: null })
      assert.equal((await other.call('/api/me', { isolate: 3 })).status, 200)
      assert.equal(refreshes().length, 1, 'the successor is committed')
      assert.equal(ledger.familyRevoked(), false)
    })

    leftOut('stopped process commits a refresh whose client is gone', async () => {
      const { visitor, refreshes, isHeld } = await expired()
      const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
      const headers = {
        cookie,
        'x-strongroom': '1',
        'sec-fetch-site': 'same-origin',
        'sec-fetch-mode': 'cors',
      }
      const client = open(`${app.urls[2]}/api/me`, { headers, agent: false })
      client.on('error', () => {}).end()
      await isHeld
      client.destroy()
      const end = started[2].end('SIGTERM')
      await refusesConnections(app.urls[2])
      release()
      assert.deepEqual(await end, { code: 0, signal: null })
      assert.equal(refreshes().length, 1, 'the refresh is complete')
      assert.equal((await visitor.call('/api/me', { isolate: 3 })).status, 200)
      assert.equal(refreshes().length, 1, 'the successor is committed')
      assert.equal(ledger.familyRevoked(), false)
    })
  })

  describe('a Node process that stands still', { concurrency: 1, timeout: 240_000 }, () => {
    const started = []
    let app
    before(async () => {
      const more = [{}, {}, { AWS_LAMBDA_FUNCTION_NAME: 'app' }]
      app = await startApp(node(started, more), {
        isolates: 3,
        handler: { session: { grace: 1, recheck: 0 } },
      })
      app.provider.settings.accessTokenSeconds = 2
    })
    after(() => app?.stop())

    const suspended = async () => {
      started[0].pause()
      return () => started[0].goOn()
    }

    const busy = async () => {
      const folder = await mkdtemp(join(tmpdir(), 'busy-'))
      const response = await fetch(`${app.urls[0]}${BUSY}${folder}/end`)
      return async () => {
        await writeFile(`${folder}/end`, '')
        await response.text()
        await rm(folder, { recursive: true })
      }
    }

    for (const [how, stop] of rows(Object.entries({ suspended, busy })))
      // claim: handler-23
      test(`a request that waited is served: ${how}`, async () => {
        const { ledger } = app.provider
        const visitor = app.visitor()
        await visitor.signIn({ isolate: 0 })
        const goOn = await stop()
        const waiting = visitor.copy().call('/api/me', { isolate: 0 })
        // The cookie is replaced for longer than the grace period.
        await ledger.accessTokenExpired()
        for (let i = 0; i < 2; i++) assert.equal((await visitor.call('/api/me', { isolate: 1 })).status, 200)
        await ledger.accessTokenExpired()
        await goOn()
        assert.equal((await waiting).status, 200)
        assert.equal((await visitor.call('/api/me', { isolate: 1 })).status, 200)
        assert.equal(ledger.familyRevoked(), false)
      })

    /** Replaces the cookie of `visitor` while process 2 stands still, and resolves with this process's response to a copy. */
    async function copied(visitor, send) {
      const { ledger } = app.provider
      started[2].pause()
      const early = send === 'before' && visitor.copy().call('/api/me', { isolate: 2 })
      const copy = visitor.copy()
      await ledger.accessTokenExpired()
      for (let i = 0; i < 2; i++) assert.equal((await visitor.call('/api/me', { isolate: 1 })).status, 200)
      await ledger.accessTokenExpired()
      started[2].goOn()
      return early || copy.call('/api/me', { isolate: 2 })
    }

    // claim: handler-23
    test('on a platform that freezes a process a copy ends the session', async () => {
      const visitor = app.visitor()
      await visitor.signIn({ isolate: 2 })
      assert.equal((await copied(visitor, 'after')).status, 401)
      assert.equal(app.provider.ledger.familyRevoked(), true)
    })

    leftOut('on such a platform a request that waited for another one is served', async () => {
      const { faults, ledger } = app.provider
      const other = app.visitor()
      await other.signIn({ isolate: 2 })
      const visitor = app.visitor()
      await visitor.signIn({ isolate: 2 })
      await ledger.accessTokenExpired()
      let release
      faults.add('token', { hold: new Promise((resolve) => (release = resolve)) })
      const isHeld = faults.taken()
      const held = other.call('/api/me', { isolate: 2 })
      await isHeld
      const response = await copied(visitor, 'before')
      release()
      assert.equal(response.status, 200)
      assert.equal((await held).status, 200)
    })
  })
})
