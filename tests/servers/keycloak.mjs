import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { start as startProgram } from '../support/edge/child.mjs'
import { addApi, AUDIENCE } from './api.mjs'
import { workplace } from './install.mjs'
import { jdk, maven, needJava } from './java.mjs'
import { USER } from './sign_in.mjs'

const run = promisify(execFile)

const VERSION = '26.7.3'
const SHA256 = '27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f'
const MAVEN_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'

const REALM = 'acme'
const DEVICE_CLIENT = 'tv'

/** @type {import('./driver.mjs').Server} */
export const keycloak = {
  name: 'Keycloak',
  start,
  signIn,
  config: ({ issuer, kind }) => ({
    issuer: `${issuer}/realms/${REALM}`,
    scope: 'openid profile email',
    // As in the guide: a session with Keycloak's tokens may need a second cookie, about which the handler warns.
    ...(kind === 'handler' && { session: { storage: 'in-store' } }),
  }),
  api: '/v1/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    pushed: true,
    dpop: true,
    exactTime: true,
    maxAge: true,
    providerLogout,
    device,
    deviceConfig: { clientId: DEVICE_CLIENT },
    backChannelLogout,
  },
  expected: {
    claims: /^sub: [0-9a-f-]{36}, name: Alice Liddell, email: alice@example\.com, preferred_username: alice$/,
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    // A token that was replaced twice ends the whole grant, even with a maximum reuse of 1.
    'refresh after it': 'provider_ended',
    'lost response': 'continues',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Fills in the sign-in page, unless Keycloak knows the user. The app has another host than Keycloak. */
async function signIn(page) {
  const isBack = page.waitForURL(({ hostname }) => hostname === 'localhost').then(() => true)
  const hasForm = page.waitForSelector('#password').then(() => false)
  if (await Promise.any([isBack, hasForm])) return
  if (await page.isVisible('#username')) await page.fill('#username', USER.username)
  await page.fill('#password', USER.password)
  await page.click('#kc-login')
}

/** Confirms the logout if Keycloak asks. */
async function providerLogout(page) {
  const isBack = page.waitForURL(({ hostname }) => hostname === 'localhost').then(() => true)
  const asks = page.waitForSelector('#kc-logout').then(() => false)
  if (await Promise.any([isBack, asks])) return
  await page.click('#kc-logout')
}

/** Enters the code, signs in, and allows the access. */
async function device(page, { userCode }) {
  await page.fill('input[name=device_user_code]', userCode)
  await page.press('input[name=device_user_code]', 'Enter')
  await signIn(page)
  await page.click('[name=accept]')
  await page.waitForSelector('text=Device Login Successful')
}

/** Signs out on Keycloak's own page. */
async function backChannelLogout(page, { issuer }) {
  await page.goto(`${issuer}/realms/${REALM}/protocol/openid-connect/logout`)
  await page.click('#kc-logout')
  await page.waitForSelector('text=You are logged out')
}

async function start(setup) {
  const home = await install()
  await mkdir(`${home}/data/import`, { recursive: true })
  await writeFile(`${home}/data/import/${REALM}-realm.json`, JSON.stringify(realm(setup)))
  const options = ['--db=dev-mem', '--http-host=127.0.0.1', '--http-port=0', `--hostname=${setup.origin}`]
  const server = startProgram('/bin/sh', ['bin/kc.sh', 'start-dev', '--import-realm', ...options], {
    cwd: home,
    env: process.env,
    isReady: (line) => line.includes('Listening on: '),
    // The script passes this signal on to the JVM.
    endBy: 'SIGTERM',
  })
  const [, origin] = /Listening on: (http:\S+[0-9])/.exec(await server.firstLine)
  const running = { origin, version: VERSION, stop: () => server.stop() }
  return addApi(setup, running, `/realms/${REALM}`)
}

/** Downloads and unpacks Keycloak. Resolves with its folder. */
async function install() {
  await needJava()
  const folder = `${workplace}/keycloak`
  const home = `${folder}/keycloak-${VERSION}`
  const zip = `${folder}/keycloak-quarkus-dist-${VERSION}.zip`
  // The download is removed after it has been unpacked.
  if (existsSync(home) && !existsSync(zip)) return home
  console.log('    installing Keycloak')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const artifact = `-Dartifact=org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`
  await maven(folder, `${MAVEN_PLUGIN}:copy`, artifact, `-DoutputDirectory=${folder}`)
  const digest = createHash('sha256')
    .update(await readFile(zip))
    .digest('hex')
  if (digest !== SHA256) throw new Error(`${zip} has the SHA-256 digest ${digest} instead of ${SHA256}`)
  await run(jdk('jar'), ['--extract', '--file', zip], { cwd: folder })
  await rm(zip)
  return home
}

/** Returns the realm as docs/providers/keycloak.md describes it. */
const realm = ({ clients, user }) => ({
  realm: REALM,
  enabled: true,
  revokeRefreshToken: true,
  refreshTokenMaxReuse: 1,
  users: [
    {
      username: user.username,
      email: 'alice@example.com',
      firstName: 'Alice',
      lastName: 'Liddell',
      enabled: true,
      emailVerified: true,
      credentials: [{ type: 'password', value: user.password }],
    },
  ],
  clients: [...clients.map(representation), deviceClient(clients[0])],
})

/** Returns the client for the device flow, which does not work with a client that has a PKCE method. */
const deviceClient = ({ redirectUri }) => ({
  ...representation({ id: DEVICE_CLIENT, auth: 'none', redirectUri }),
  standardFlowEnabled: false,
  attributes: {
    'oauth2.device.authorization.grant.enabled': 'true',
    'access.token.header.type.rfc9068': 'true',
  },
})

/** Returns Keycloak's representation of a client. */
const representation = ({ id, auth, secret, publicKey, redirectUri, postLogoutRedirectUri, ...client }) => ({
  clientId: id,
  publicClient: auth === 'none',
  clientAuthenticatorType: auth === 'private_key_jwt' ? 'client-jwt' : 'client-secret',
  secret,
  redirectUris: [redirectUri],
  webOrigins: ['+'],
  directAccessGrantsEnabled: false,
  frontchannelLogout: false,
  attributes: {
    'pkce.code.challenge.method': 'S256',
    'post.logout.redirect.uris': postLogoutRedirectUri,
    'access.token.header.type.rfc9068': 'true',
    ...(publicKey && { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify({ keys: [publicKey] }) }),
    ...(client.backChannelLogoutUri && {
      'backchannel.logout.url': client.backChannelLogoutUri,
      'backchannel.logout.session.required': 'true',
    }),
  },
  protocolMappers: [
    {
      name: 'audience',
      protocol: 'openid-connect',
      protocolMapper: 'oidc-audience-mapper',
      config: { 'included.custom.audience': AUDIENCE, 'access.token.claim': 'true' },
    },
  ],
})
