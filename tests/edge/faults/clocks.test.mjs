// Two Node processes with one Redis. libfaketime sets their clocks, and the second clock is wrong. The provider accepts each
// refresh token once.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { ALL, leftOut, rows, WHOLE } from '../../support/combinations.mjs'
import { readBody } from '../../support/body.mjs'
import { startApp } from '../../support/edge/app.mjs'
import { startServer } from '../../support/edge/child.mjs'
import { newClock } from '../../support/edge/clock.mjs'
import { startInProcess } from '../../support/edge/in_process.mjs'
import { platform } from '../../support/edge/start.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { listen } from '../../support/listen.mjs'

/** The isolate whose clock is right, and the one whose clock is wrong. */
const [RIGHT, WRONG] = [0, 1]

const HOUR = 3600

/** The time limit in milliseconds for the next refresh after a process has died. Its lease lasts for eight seconds. */
const TAKEN_OVER = 20_000

/** Milliseconds that a slow refresh takes at the provider. */
const SLOW = 5000

/**
 * Starts the app with two processes, whose second clock is ahead by this number of seconds. `hasTime` is false for a
 * coordinator that does not tell the time.
 */
async function start({ ahead, session, hasTime = true }) {
  const clocks = []
  const started = []
  const node = platform({
    coordinators: ['node-redis'],
    entry: ({ imports, handler }) => `
      import { createServer } from 'node:http'
      import { toNodeListener } from 'strongroom/edge/node'
      ${imports}
      const told = (source) => source
      const untold = (source) => (env) => {
        const coordinator = source(env)
        const read = async (keys) => ({ entries: (await coordinator.read(keys)).entries })
        return { ...coordinator, read }
      }
      const server = createServer(toNodeListener(${handler.replace(/app\((.*)\)$/, `app(${hasTime ? 'told' : 'untold'}($1))`)}))
      server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))`,
    bundling: { name: 'entry.mjs', platform: 'node', conditions: ['node', 'import', 'module'] },
    async serve({ folder, file, env }) {
      for (const [index, seconds] of [0, ahead].entries()) {
        const clock = await newClock(join(folder, `clock-${index}`), seconds)
        clocks.push(clock)
        const own = { ...env, ...clock.env }
        started.push(await startServer(process.execPath, [file], { env: own, cwd: folder }))
      }
      return {
        urls: started.map(({ said }) => `http://127.0.0.1:${said.port}`),
        async stop() {
          for (const [index, server] of started.entries()) {
            await server.stop()
            await clocks[index].forget(server.pid)
          }
        },
      }
    },
  })
  let app
  // The provider needs the URL for logout tokens before the handler starts. They reach the process whose clock is wrong.
  const relay = await listen({
    async handler(request, response) {
      const reply = await fetch(`${app.urls[WRONG]}${request.url}`, {
        method: request.method,
        headers: { 'content-type': request.headers['content-type'] },
        body: await readBody(request),
      })
      response.writeHead(reply.status).end(await reply.text())
    },
  })
  app = await startApp(node, {
    provider: { backchannelLogout: true },
    client: {
      backchannel_logout_uri: `${relay.origin}/auth/backchannel-logout`,
      // A logout token without `sid` ends all sessions of the user.
      backchannel_logout_session_required: false,
    },
    handler: { session: { recheck: 0, ...session } },
  })
  const stop = async () => {
    await app.stop()
    await relay.close()
  }
  const [right, wrong] = clocks
  return { ...app, clocks: { right, wrong }, kill: (isolate) => started[isolate].end('SIGKILL'), stop }
}

/** Signs a user in at this isolate and waits until the access token has expired. */
async function expired(app, isolate = RIGHT) {
  const { ledger, settings } = app.provider
  const visitor = app.visitor()
  settings.accessTokenSeconds = 2
  await visitor.signIn({ isolate })
  await app.provider.letAccessTokenExpire()
  const since = ledger.refreshes().length
  const outcomes = () =>
    ledger
      .refreshes()
      .slice(since)
      .map(({ outcome }) => outcome)
  return { visitor, outcomes, family: ledger.families() }
}

/** Calls the API, and again while the handler responds with 503. */
async function assertCalls(app, visitor, isolate) {
  const end = Date.now() + 40_000
  let response
  do response = await visitor.call('/api/me', { isolate })
  while (response.status === 503 && Date.now() < end)
  const told = response.status === 200 ? '' : JSON.stringify(await app.told().catch(String))
  assert.equal(response.status, 200, `${await response.text()} ${told}`)
}

/** The session continues at both processes. */
async function assertLives(app, visitor) {
  for (const isolate of [RIGHT, WRONG]) await assertCalls(app, visitor, isolate)
}

/** Offsets in seconds. A run without `--all` has those with which sessions ended, and the usual run two of them. */
const OFFSETS = ALL ? [10, 180, -180, HOUR, -HOUR] : WHOLE ? [10, 180, -HOUR] : [180, -HOUR]
const STORAGES = ALL ? ['sealed-in-cookie', 'in-store'] : ['sealed-in-cookie']

describe('two processes', { concurrency: 6, timeout: 300_000 }, () => {
  for (const ahead of OFFSETS) for (const storage of STORAGES) continues({ ahead, storage })
  continues({ ahead: 180, storage: 'sealed-in-cookie', hasTime: false })
  waits()
  providerTime()
  controls()
})

/** No session ends because a clock is wrong. */
function continues({ ahead, storage, hasTime = true }) {
  const kind = hasTime ? storage : 'no time from the coordinator'
  describe(`a clock that is wrong by ${ahead} s, ${kind}`, { concurrency: 1 }, () => {
    let app, faults, ledger
    before(async () => {
      app = await start({ ahead, session: { storage }, hasTime })
      ;({ faults, ledger } = app.provider)
    })
    after(() => app?.stop())

    for (const holder of rows([WRONG, RIGHT])) {
      const who = holder === RIGHT ? 'right' : 'wrong'
      test(`slow refresh by the ${who} clock is the only one`, async () => {
        const { visitor, outcomes, family } = await expired(app)
        const other = visitor.copy()
        faults.add('token', { delay: SLOW })
        const isHeld = faults.taken()
        const first = assertCalls(app, visitor, holder)
        await isHeld
        await Promise.all([first, assertCalls(app, other, 1 - holder)])
        assert.deepEqual(outcomes(), ['issued'])
        assert.equal(ledger.familyRevoked(family), false)
      })
    }

    // claim: handler-66
    test('overtaken request keeps the session', async () => {
      const { visitor } = await expired(app)
      const old = visitor.copy()
      await assertCalls(app, visitor, RIGHT)
      // The next cookie is used.
      await assertCalls(app, visitor, RIGHT)
      await assertCalls(app, old, WRONG)
      await assertLives(app, visitor)
    })

    // Without a shared clock, the option `clockTolerance` limits the times in tokens.
    if (hasTime) {
      // claim: handler-55
      test('login after a back-channel logout survives', async () => {
        const visitor = app.visitor()
        await visitor.signIn({ account: 'bob' })
        const ended = visitor.copy()
        await untilNextSecond()
        await visitor.signOutAtProvider(app.provider.origin)
        for (const isolate of [RIGHT, WRONG]) {
          assert.equal((await ended.copy().session({ isolate })).reason, 'provider_ended')
        }
        await untilNextSecond()
        const again = app.visitor()
        await again.signIn({ account: 'bob' })
        await assertLives(app, again)
      })
    }

    for (const [begins, ends] of [
      [RIGHT, WRONG],
      [WRONG, RIGHT],
      [WRONG, WRONG],
    ]) {
      test(`login from process ${begins} to process ${ends} lives at both`, async () => {
        const visitor = app.visitor()
        const { address } = await visitor.signIn({ isolate: begins, until: isCallback })
        await visitor.go(address, { isolate: ends })
        await assertLives(app, visitor)
      })
    }

    test('only the process with the wrong clock logs it, once', async () => {
      const logs = app.urls.map(async (url) => {
        const told = await (await fetch(`${url}/told`)).json()
        // Reports of ended sessions have no code.
        return told.filter(({ code }) => code).map(({ code, message }) => `${code}: ${message}`)
      })
      const [right, wrong] = await Promise.all(logs)
      assert.deepEqual(right, [])
      assert.equal(wrong.length, 1, wrong.join('\n'))
      const [, seconds, side] = /^clock_differs: this machine's clock is (\d+) s (ahead of|behind) /.exec(
        wrong[0],
      )
      assert.equal(side, ahead > 0 ? 'ahead of' : 'behind')
      assert.ok(Math.abs(seconds - Math.abs(ahead)) <= 1, wrong[0])
    })

    if (hasTime) {
      // claim: handler-66
      test('clock that is corrected, and wrong again, keeps sessions', async () => {
        const { visitor } = await expired(app, WRONG)
        const other = app.visitor()
        await other.signIn({ isolate: WRONG })
        for (const seconds of [0, ahead]) {
          await app.clocks.wrong.set(seconds)
          await assertLives(app, visitor)
          await assertLives(app, other)
        }
      })
    }

    // claim: handler-66
    test('clock that is set during a refresh sends nothing twice', async () => {
      const { visitor, outcomes } = await expired(app)
      const others = [visitor.copy(), visitor.copy()]
      faults.add('token', { delay: SLOW })
      const isHeld = faults.taken()
      const first = assertCalls(app, visitor, RIGHT)
      await isHeld
      await app.clocks.right.set(ahead)
      await app.clocks.wrong.set(0)
      try {
        await Promise.all([first, assertCalls(app, others[0], RIGHT), assertCalls(app, others[1], WRONG)])
        assert.deepEqual(outcomes(), ['issued'])
      } finally {
        await app.clocks.right.set(0)
        await app.clocks.wrong.set(ahead)
      }
    })

    leftOut('process that dies during a refresh blocks its session for seconds', async (t) => {
      const { visitor, outcomes } = await expired(app)
      // The request of the dead process is dropped, so the provider never acts on it.
      faults.add('token', { hold: new Promise((resolve) => t.after(resolve)), drop: true })
      const isHeld = faults.taken()
      const lost = assert.rejects(visitor.copy().call('/api/me', { isolate: RIGHT }), { code: 'ECONNRESET' })
      await isHeld
      const other = assertCalls(app, visitor, WRONG)
      await app.kill(RIGHT)
      const died = Date.now()
      await Promise.all([lost, other])
      assert.deepEqual(outcomes(), ['issued'])
      const waited = ledger.refreshes().at(-1).at - died
      assert.ok(waited < TAKEN_OVER, `${waited} ms`)
    })
  })
}

/** A platform without a monotonic clock, and a coordinator whose calls of `wait()` end early, prove no time. */
function waits() {
  describe('no monotonic clock', { concurrency: 1 }, () => {
    for (const [how, wait] of rows([
      ['returns', async () => {}],
      ['rejects', async () => Promise.reject(new Error('cannot wait'))],
    ])) {
      // claim: handler-66
      test(`wait() that ${how} at once hands no lease over`, async (t) => {
        const { now } = performance
        t.after(() => (performance.now = now))
        performance.now = () => Date.now()
        const coordinator = { ...inIsolate()({}), wait }
        const handlers = []
        const create = (config) => {
          for (let i = 0; i < 2; i++) handlers.push(createTokenHandler({ ...config, log() {} }))
          return handlers[0]
        }
        const app = await startInProcess(create, {
          accessTokenSeconds: 2,
          handler: { coordinator: () => coordinator, session: { recheck: 0 } },
        })
        t.after(app.close)
        const { faults, ledger } = app.provider
        const visitor = new Visitor(app.place)
        await visitor.signIn()
        await app.provider.letAccessTokenExpire()
        faults.add('token', { delay: SLOW })
        const isHeld = faults.taken()
        const session = (handler) => {
          const cookie = [...visitor.cookies].map((pair) => pair.join('=')).join('; ')
          const headers = { cookie, 'x-strongroom': '1', 'sec-fetch-site': 'same-origin' }
          return handler.fetch(new Request(`${app.place.origin}/auth/session`, { headers }))
        }
        const first = session(handlers[0])
        await isHeld
        for (const response of await Promise.all([first, session(handlers[1])]))
          assert.equal((await response.json()).session?.claims.sub, 'alice')
        assert.deepEqual(
          ledger.refreshes().map(({ outcome }) => outcome),
          ['issued'],
        )
      })
    }
  })
}

/** The provider tells the time, too. */
function providerTime() {
  describe("the provider's Date", { concurrency: 1 }, () => {
    for (const [what, headers, count] of [
      ['is compared with the clock', {}, 1],
      ['of a stored response is not', { Age: '3600' }, 0],
    ]) {
      test(`${what}`, async (t) => {
        const told = []
        const coordinator = inIsolate()({})
        const read = async (keys) => ({ entries: (await coordinator.read(keys)).entries })
        const app = await startInProcess(createTokenHandler, {
          accessTokenSeconds: 300,
          handler: { coordinator: () => ({ ...coordinator, read }), log: ({ code }) => told.push(code) },
        })
        t.after(app.close)
        const date = new Date(Date.now() - 180_000).toUTCString()
        app.provider.settings.headers = { Date: date, ...headers }
        await new Visitor(app.place).signIn()
        assert.deepEqual(told, Array(count).fill('clock_differs'))
      })
    }
  })
}

/** Sessions end as always, although a clock is wrong. */
function controls() {
  const [grace, idle] = [2, 6]
  describe('control: sessions end by the time of Redis', { concurrency: 1 }, () => {
    let app
    afterEach(() => app?.stop())

    // claim: handler-66
    test('replaced cookie after the grace period', async () => {
      app = await start({ ahead: 180, session: { grace } })
      const { visitor } = await expired(app)
      const old = visitor.copy()
      await assertCalls(app, visitor, RIGHT)
      await assertCalls(app, visitor, RIGHT)
      await passed(grace + 1)
      assert.equal((await old.session({ isolate: WRONG })).reason, 'security')
    })

    leftOut('idle session', async () => {
      app = await start({ ahead: 180, session: { idle } })
      const visitor = app.visitor()
      await visitor.signIn()
      await assertLives(app, visitor)
      await passed(idle + 1)
      assert.equal((await visitor.session({ isolate: WRONG })).reason, 'idle')
    })
  })
}

const isCallback = ({ pathname }) => pathname === '/auth/callback'

/** Resolves when the grace period or the idle limit is over. */
const passed = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Resolves in the next second of the clock: the times in the provider's tokens are in seconds. */
async function untilNextSecond() {
  const second = Math.floor(Date.now() / 1000)
  while (Math.floor(Date.now() / 1000) === second) await new Promise((resolve) => setTimeout(resolve, 20))
}
