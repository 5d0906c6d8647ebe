// Random worlds of strongroom/testing. The core's oracle checks each step: a false alarm would fail the tests of apps.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testWorld } from '../../pkg/dist/testing.js'

const API = 'https://api.example.com/v1/'
const ACTIONS_PER_WORLD = 30

/** Returns a function that returns random numbers from 0 to `n - 1`. */
const createDice = (seed) => (n) => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
  return (seed >> 8) % n
}

const configure = (dice) => {
  const dpop = dice(2) === 0
  const api = { url: API, methods: ['GET', 'POST'] }
  if (!dpop) api.webSocket = { token: 'query' }
  if (dice(2)) api.resource = 'https://api.example.com'
  return {
    issuer: 'https://id.example.com',
    clientId: 'spa',
    redirectUri: '/callback',
    scope: 'openid profile offline_access',
    deviceFlow: true,
    dpop,
    session: { persist: ['memory', 'sealed', 'escrow'][dice(3)], idle: 600, absolute: 3600 },
    apis: [api],
  }
}

const respond = (dice) => () => {
  const kind = dice(10)
  if (kind === 0) return Response.error()
  const challenge = { 'WWW-Authenticate': 'Bearer error="invalid_token"' }
  return kind === 1 ? new Response('', { status: 401, headers: challenge }) : Response.json({})
}

/** Returns the actions of a test on its world. `run` handles promises that may reject. */
const actionsOn = (world, config, servers, dice, run) => {
  const { auth, provider } = world
  return [
    () => world.signIn({ name: ['Alice', 'Bob', '7'][dice(3)] }),
    () => run(auth.logout()),
    () => world.signOut(),
    () => run(auth.login({ mode: 'popup' })),
    () => run(auth.login({ mode: 'device', onCode: ({ userCode }) => dice(2) && world.enterCode(userCode) })),
    () => run(auth.login()),
    () => world.followRedirect(),
    () => run(auth.reconnect()),
    () => run(auth.fetch(`${API}orders`)),
    () => run(auth.fetch(`${API}orders`, { method: 'POST', body: 'b' })),
    () => {
      if (config.dpop) return
      const socket = auth.webSocket('wss://api.example.com/v1/live')
      if (dice(2)) socket.addEventListener('open', () => (dice(2) ? socket.send('a') : socket.close()))
    },
    () => servers.at(-1)?.send('b'),
    () => servers.at(-1)?.close(),
    () => world.advance([10, 1000, 20_000, 70_000, 400_000, 700_000][dice(6)]),
    () => world.settle(),
    () => world.touch(),
    () => world.reload(),
    () => world.crash(),
    () => world.offline(),
    () => world.online(),
    () => provider.down(),
    () => provider.up(),
    () => provider.deny(),
    () => provider.revoke(),
  ]
}

async function live(seed) {
  const dice = createDice(seed)
  const config = configure(dice)
  const servers = []
  const alarms = []
  const options = { api: respond(dice), socket: (server) => servers.push(server) }
  const world = await testWorld(config, { ...options, accessTokenLifetime: [5, 60, 300][dice(3)] })
  // Does not wait: a login that leaves the page never settles, and others settle as time passes.
  const run = (promise) => void promise.catch((error) => error.name === 'Error' && alarms.push(error))
  const actions = actionsOn(world, config, servers, dice, run)
  for (let i = 0; i < ACTIONS_PER_WORLD; i++) {
    try {
      await actions[dice(actions.length)]()
    } catch (error) {
      if (error.code !== 'unsupported') throw error
    }
    if (dice(2)) await world.settle()
  }
  await world.advance('1h')
  world.close()
  await world.settle()
  assert.deepEqual(alarms, [])
}

test('random worlds raise no false alarm', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 60; seed++) {
    await live(seed).catch((error) => {
      throw new Error(`world ${seed}`, { cause: error })
    })
  }
})
