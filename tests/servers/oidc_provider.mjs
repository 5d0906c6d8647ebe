import { createRequire } from 'node:module'
import { giveConsent } from '../support/app.mjs'
import { publicClient, startProvider } from '../support/provider.mjs'
import { addApi, AUDIENCE } from './api.mjs'

const { version } = createRequire(import.meta.url)('oidc-provider/package.json')

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code'

/** @type {import('./driver.mjs').Server} */
export const oidcProvider = {
  name: 'oidc-provider',
  start,
  signIn: (page) => giveConsent(page),
  config: () => ({ scope: 'openid profile offline_access orders', consent: 'always' }),
  api: '/v1/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    pushed: true,
    dpop: true,
    maxAge: true,
    providerLogout: (page) => page.click('button[name=logout]'),
    device,
    async backChannelLogout(page, { issuer }) {
      await page.goto(`${issuer}/session/end`)
      await page.click('button[name=logout]')
    },
  },
  expected: {
    claims: 'sub: alice, name: Alice Liddell, preferred_username: alice, locale: en',
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    // Reuse of a replaced token ends the whole grant.
    'refresh after it': 'provider_ended',
    'lost response': 'provider_ended',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Starts the server in this process. */
async function start(setup) {
  const { origin, apps, clients } = setup
  const provider = await startProvider({
    publicOrigin: origin,
    audience: AUDIENCE,
    allowedOrigins: apps,
    accessTokenSeconds: 3600,
    deviceFlow: true,
    backchannelLogout: true,
    dpop: true,
    clients: clients.map(metadata),
  })
  return addApi(setup, { origin: provider.origin, version, stop: () => provider.close() })
}

/** Signs in for another device. */
async function device(page, { userCode }) {
  await page.fill('input[name=user_code]', userCode)
  await page.click('button')
  await page.click('button[value=confirm]')
  await giveConsent(page)
  await page.waitForSelector('text=Done')
}

/** Returns the metadata of a client (RFC 7591). */
const metadata = ({
  id,
  auth,
  secret,
  publicKey,
  redirectUri,
  postLogoutRedirectUri,
  backChannelLogoutUri,
}) =>
  publicClient({
    client_id: id,
    redirect_uris: [redirectUri],
    post_logout_redirect_uris: [postLogoutRedirectUri],
    token_endpoint_auth_method: auth,
    grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE],
    ...(backChannelLogoutUri && { backchannel_logout_uri: backChannelLogoutUri }),
    ...(secret && { client_secret: secret }),
    ...(publicKey && { jwks: { keys: [publicKey] } }),
  })
