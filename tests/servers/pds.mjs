import { clientMetadata } from '../../pkg/dist/headers.js'
import { startInstalled } from './install.mjs'
import { USER } from './sign_in.mjs'

const SCOPE = 'atproto transition:generic'

/** The document of a client that is not on loopback, which the PDS checks when it starts. */
const DOCUMENT = clientMetadata(
  {
    clientId: 'https://app.example.com/oauth-client-metadata.json',
    redirectUri: '/callback',
    scope: SCOPE,
    dpop: true,
  },
  { name: 'The app', logoUri: 'https://app.example.com/logo.png' },
)

/** @type {import('./driver.mjs').Server} */
export const pds = {
  name: '@atproto/pds',
  // The PDS is at this host, and clients on loopback are at another one.
  host: 'localhost',
  start: (setup) =>
    startInstalled('pds', { ...setup, document: DOCUMENT }, { packageName: '@atproto/pds', node: 22 }),
  signIn,
  // A client on loopback has no document: its identifier contains what would be in it.
  clientId: ({ redirectUri }) =>
    `http://localhost?${new URLSearchParams({ redirect_uri: redirectUri, scope: SCOPE })}`,
  features: { clientAuth: ['none'], pushed: true, dpop: true },
  config: () => ({
    scope: SCOPE,
    identity: { from: 'token_response', sub: 'sub' },
    dpop: true,
    par: true,
  }),
  api: '/xrpc/com.atproto.server.getSession',
  expected: {
    'sign-in': 'pushed',
    claims: /^sub: did:plc:[a-z2-7]{24}$/,
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': 'not tried: bound to a key',
    'refresh after it': 'works',
    'lost response': 'provider_ended',
    logout: 'revokes',
  },
}

/** Signs in, unless the server remembers the user, and allows the access. */
async function signIn(page) {
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.fill('input[name=username]', `${USER.username}.test`)
  await page.fill('input[name=password]', USER.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Authorize' }).click()
}
