import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { startApi } from '../support/api.mjs'
import { start as startProgram } from '../support/edge/child.mjs'
import { workplace } from './install.mjs'
import { jdk, maven, needJava } from './java.mjs'
import { USER } from './sign_in.mjs'

const run = promisify(execFile)

const VERSION = '26.7.3'
const SHA256 = '27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f'
const MAVEN_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'

const REALM = 'acme'
const AUDIENCE = 'urn:strongroom:test:orders'

/** @type {import('./driver.mjs').Server} */
export const keycloak = {
  name: 'Keycloak',
  start,
  signIn,
  config: ({ issuer }) => ({ issuer: `${issuer}/realms/${REALM}`, scope: 'openid profile email' }),
  api: '/v1/me',
  expected: {
    claims: /^sub: /,
    refresh: 'rotates',
    'second refresh': 'rotates',
    'old refresh token': '400 invalid_grant',
    'refresh after it': 'works',
    logout: 'revokes: 400 invalid_grant',
  },
}

/** Fills in the sign-in page. */
async function signIn(page) {
  await page.fill('#username', USER.username)
  await page.fill('#password', USER.password)
  await page.click('#kc-login')
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
  const api = await startApi({
    issuer: `${setup.origin}/realms/${REALM}`,
    provider: `${origin}/realms/${REALM}`,
    audience: AUDIENCE,
    allowedOrigins: setup.apps,
  })
  return {
    origin,
    api: api.origin,
    async stop() {
      await api.close()
      await server.stop()
    },
  }
}

/** Downloads and unpacks Keycloak. Resolves with its folder. */
async function install() {
  await needJava()
  const home = `${workplace}/keycloak/keycloak-${VERSION}`
  if (existsSync(`${home}/bin/kc.sh`)) return home
  console.log('    installing Keycloak')
  const folder = `${workplace}/keycloak`
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const artifact = `-Dartifact=org.keycloak:keycloak-quarkus-dist:${VERSION}:zip`
  await maven(folder, `${MAVEN_PLUGIN}:copy`, artifact, `-DoutputDirectory=${folder}`)
  const zip = `${folder}/keycloak-quarkus-dist-${VERSION}.zip`
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
  clients: clients.map(({ id, secret, redirectUri }) => ({
    clientId: id,
    publicClient: !secret,
    secret,
    redirectUris: [redirectUri],
    webOrigins: ['+'],
    directAccessGrantsEnabled: false,
    frontchannelLogout: false,
    attributes: {
      'pkce.code.challenge.method': 'S256',
      'access.token.header.type.rfc9068': 'true',
    },
    protocolMappers: [
      {
        name: 'audience',
        protocol: 'openid-connect',
        protocolMapper: 'oidc-audience-mapper',
        config: { 'included.custom.audience': AUDIENCE, 'access.token.claim': 'true' },
      },
    ],
  })),
})
