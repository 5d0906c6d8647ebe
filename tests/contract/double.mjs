/** Runs the cases of cases.mjs in strongroom/testing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { echo, respond } from './api.mjs'
import { ENDING, EXTENDED, SIGNED_IN, SIGNED_OUT, extend } from './cases.mjs'

const time = { timeout: 60_000 }

const API = 'https://api.example.com/v1/'
export const CONFIG = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  redirectUri: '/callback',
  scope: 'openid profile email offline_access',
  apis: [{ url: API, methods: ['GET', 'HEAD', 'POST'] }],
}

/** The lifetime of access tokens in seconds. */
export const LIFETIME = 2

/** Describes the outcome of a promise. An error of the vault has a code, and another error has a name. */
export const settle = (promise) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    ({ code, name }) => (name === 'StrongroomError' ? { code } : { name }),
  )

/** Returns a function that waits for a state of `auth`. */
export const untilOf = (auth) => (isSo) =>
  new Promise((resolve) => {
    const stop = auth.subscribe((state) => isSo(state) && queueMicrotask(() => (stop(), resolve(state))))
  })

async function runCase(world, { run, expected }, isSignedIn) {
  if (isSignedIn) world.signIn({ name: 'Alice' })
  await world.settle()
  const controls = {
    expire: () => world.advance(LIFETIME * 1000),
    refreshes: () => world.refreshes,
    down: () => world.provider.down(),
    up: () => world.provider.up(),
    revoke: () => world.provider.revoke(),
    crash: () => world.crash(),
    signOut: () => world.signOut(),
  }
  const { auth } = world
  const result = run({ auth, api: API, settle, until: untilOf(auth), world: controls })
  // Time passes only here, so retries and time limits end.
  const outcome = await Promise.race([result, letTimePass(world, result)])
  assert.deepEqual(outcome, expected)
}

async function letTimePass(world, result) {
  let isOver = false
  const end = () => (isOver = true)
  result.then(end, end)
  for (let i = 0; i < 100 && !isOver; i++) await world.settle()
  for (let i = 0; i < 30 && !isOver; i++) await world.advance('1s')
  return isOver ? result : 'no result'
}

/**
 * Defines a test for each case.
 *
 * @param {() => (config: object, options: object) => Promise<object>} getTestWorld Returns `testWorld` when a test
 *   begins.
 */
export function testCases(getTestWorld) {
  const define = (one, isSignedIn, changes) =>
    test(one.name, time, async () => {
      const options = { api: respond, socket: echo, accessTokenLifetime: LIFETIME }
      const world = await getTestWorld()({ ...CONFIG, ...changes }, options)
      await runCase(world, one, isSignedIn).finally(() => world.close())
    })
  for (const one of SIGNED_OUT) define(one, false)
  for (const one of [...SIGNED_IN, ...ENDING]) define(one, true)
  for (const one of EXTENDED) define(one, true, extend(CONFIG.apis[0]))
}
