// The token handler with a server that behaves as GitHub documents: docs/providers/github.md.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, test } from 'node:test'
import { createTokenHandler, inIsolate } from '../../../pkg/dist/edge.js'
import { toNodeListener } from '../../../pkg/dist/edge/node.js'
import { setClocks } from '../../support/clocks.mjs'
import { Visitor } from '../../support/edge/visitor.mjs'
import { startGitHub } from '../../support/github.mjs'
import { listen } from '../../support/listen.mjs'

const ORIGIN = 'https://app.example.com'
const CLIENT = { id: 'Iv1.1', secret: 'a-secret', redirectUri: `${ORIGIN}/auth/callback` }
const BROWSER = { headers: { 'user-agent': 'Mozilla/5.0' } }
const NINE_HOURS = 9 * 3600 * 1000

const ends = []
afterEach(async () => {
  setClocks(0)
  while (ends.length) await ends.pop()()
})

/** Starts the server with a handler, and signs in. */
async function signedIn(options) {
  const github = await startGitHub({ client: CLIENT, ...options })
  ends.push(github.close)
  const faults = []
  const handler = createTokenHandler({
    issuer: github.origin,
    origin: ORIGIN,
    client: { id: CLIENT.id, auth: { method: 'client_secret_post', secret: CLIENT.secret } },
    identity: { url: `${github.api}user`, sub: 'id', claims: ['login', 'name'] },
    scope: 'repo gist',
    metadata: github.metadata,
    cookie: { keys: randomBytes(32).toString('base64') },
    session: { idle: 24 * 3600, absolute: 24 * 3600 },
    routes: [{ prefix: '/api/', upstream: github.api }],
    coordinator: inIsolate(),
    log: (fault) => faults.push(fault),
  })
  const server = await listen({ handler: toNodeListener(handler) })
  ends.push(server.close)
  const visitor = new Visitor({ origin: ORIGIN, urls: [server.origin] })
  await visitor.go('/auth/login', { until: ({ pathname }) => pathname === '/' })
  return { github, visitor, faults }
}

const user = async (visitor) => {
  const response = await visitor.call('/api/user', BROWSER)
  return { status: response.status, body: await response.json() }
}

// claim: network-5
test('OAuth app: the token is used until GitHub refuses it', async () => {
  const { github, visitor, faults } = await signedIn()
  assert.deepEqual(faults, [])
  const { claims, scopes, accessTokenExpiresAt, expiresAt } = (await visitor.session()).session
  assert.deepEqual(claims, { sub: '583231', login: 'octocat', name: 'The Octocat' })
  assert.deepEqual(scopes, ['repo', 'gist'])
  assert.equal(accessTokenExpiresAt, expiresAt)
  setClocks(NINE_HOURS)
  assert.deepEqual((await user(visitor)).body.login, 'octocat')
  // The first request was for the profile.
  assert.deepEqual(github.agents, ['strongroom', 'Mozilla/5.0'])
  github.withdraw()
  const { status, body } = await user(visitor)
  assert.deepEqual([status, body.error.code], [401, 'interaction_required'])
})

test('GitHub App: tokens are refreshed before they expire', async () => {
  const { github, visitor } = await signedIn({ isGitHubApp: true })
  setClocks(NINE_HOURS)
  assert.equal((await user(visitor)).status, 200)
  assert.equal(github.accepted.length, 2)
})

test('GitHub App: a changed secret does not end the session', async () => {
  const { github, visitor, faults } = await signedIn({ isGitHubApp: true })
  github.settings.secret = 'another'
  setClocks(NINE_HOURS)
  assert.notEqual((await user(visitor)).status, 200)
  github.settings.secret = CLIENT.secret
  assert.ok(faults.length > 0)
  setClocks(NINE_HOURS + 10 * 60_000)
  assert.equal((await user(visitor)).status, 200)
})

test('login with a wrong secret fails, although the status is 200', async () => {
  const { visitor, faults } = await signedIn({ client: { ...CLIENT, secret: 'another' } })
  assert.equal((await visitor.session()).session, null)
  assert.match(faults.map(({ message }) => message).join(), /incorrect_client_credentials/)
})

test('a control: without Accept, token responses are form-encoded', async () => {
  const { github } = await signedIn()
  const body = new URLSearchParams({ client_id: CLIENT.id })
  const response = await fetch(github.metadata.token_endpoint, { method: 'POST', body })
  assert.equal(response.status, 200)
  assert.equal(new URLSearchParams(await response.text()).get('error'), 'incorrect_client_credentials')
})
