// The demo's provider and API can also be used by an app that a reader of the docs has written.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { OWN_CLIENT_ID, startServers } from '../support/servers.mjs'

const APP = 'http://localhost:5173'

let servers

before(async () => {
  servers = await startServers({ apps: [APP] })
})
after(() => servers.close())

/**
 * Sends an authorization request of the reader's app with these parameters. Resolves with the status and the `Location`
 * of the provider's response.
 */
async function authorization(parameters) {
  const query = new URLSearchParams({
    client_id: OWN_CLIENT_ID,
    redirect_uri: `${APP}/callback`,
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
    ...parameters,
  })
  const { status, headers } = await fetch(`${servers.provider.issuer}/auth?${query}`, {
    redirect: 'manual',
  })
  return { status, location: headers.get('location') }
}

test('its client may sign in', async () => {
  const { status, location } = await authorization()
  assert.equal(status, 303)
  assert.match(location, /\/interaction\//)
})

test('its client may not sign in from another origin', async () => {
  const { status } = await authorization({ redirect_uri: 'http://localhost:5174/callback' })
  assert.equal(status, 400)
})

const REQUESTS = {
  provider: () => [
    new URL('/token', servers.provider.issuer),
    { method: 'POST', body: new URLSearchParams({ client_id: OWN_CLIENT_ID, grant_type: 'refresh_token' }) },
  ],
  api: () => [new URL('orders', servers.api.url), {}],
}

for (const [name, request] of Object.entries(REQUESTS)) {
  test(`only its origin may read the responses of the ${name}`, async () => {
    const allowed = async (origin) => {
      const [url, init] = request()
      const { headers } = await fetch(url, { ...init, headers: { origin } })
      return headers.get('access-control-allow-origin')
    }
    assert.equal(await allowed(APP), APP)
    assert.equal(await allowed('http://localhost:5174'), null)
  })
}

test('the provider starts without a warning', async () => {
  const provider = JSON.stringify(new URL('../support/provider.mjs', import.meta.url))
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['-e', `import(${provider})`])
  assert.equal(stdout + stderr, '')
})
