// A server that looks at its configuration before it takes requests.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createTokenHandler, durableObject, inIsolate, redis } from '../../pkg/dist/edge.js'

const handler = (more, told = []) =>
  createTokenHandler({
    // Nobody is there.
    issuer: 'http://127.0.0.1:9',
    client: { id: 'web', auth: { method: 'client_secret_basic', secret: (env) => env.CLIENT_SECRET } },
    cookie: { keys: randomBytes(32).toString('base64') },
    coordinator: inIsolate(),
    log: (fault) => told.push(fault),
    ...more,
  })
const env = { CLIENT_SECRET: 'a secret' }

const statusOf = async (handler, env) =>
  (await handler.fetch(new Request('https://app.example.com/api/'), env)).status

test('valid configuration is ready without the provider', async () => {
  const made = handler({})
  assert.equal(await made.ready(env), undefined)
  // It has `env` from then on.
  assert.equal(await statusOf(made), 404)
})

for (const [what, more, given, expected] of [
  ['a key that is too short', { cookie: { keys: 'AAAA' } }, env, /cookie\.keys/],
  ['a secret that is not in the environment', {}, {}, /client\.auth\.secret/],
  ['an option that does not exist', { isuer: 'x' }, env, /isuer/],
  [
    'what a function of the configuration stumbles over',
    { routes: [{ prefix: '/api/', upstream: ({ API }) => API.url }] },
    env,
    /`routes\[0\]\.upstream`: its function failed: .*'url'/,
  ],
  ['a coordinator that is not there', { coordinator: undefined }, env, /`coordinator`: there is none/],
  ['one that was not called', { coordinator: inIsolate }, env, /`coordinator`: .*inIsolate\(\)/],
  [
    'a Durable Object that is not bound',
    { coordinator: durableObject((env) => env.SESSIONS) },
    env,
    /`coordinator`: .*wrangler\.toml/,
  ],
  ['a client of Redis that is not there', { coordinator: redis((env) => env.REDIS) }, env, /redis\(\)/],
]) {
  test(`${what} is named`, async () => {
    const told = []
    const made = handler(more, told)
    await assert.rejects(made.ready(given), (error) => {
      assert.equal(error.name, 'StrongroomError')
      assert.equal(error.code, 'config_invalid')
      assert.match(error.message, expected)
      return true
    })
    assert.deepEqual(told, [], 'whoever asked knows')
    // Without the question it comes with the first request.
    assert.equal(await statusOf(made, given), 500)
    assert.deepEqual(
      told.map(({ code }) => code),
      ['config_invalid'],
    )
  })
}

test('fixed configuration is read again', async () => {
  const made = handler({})
  await assert.rejects(made.ready({}))
  await made.ready(env)
  assert.equal(await statusOf(made), 404)
})
