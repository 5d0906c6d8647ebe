import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { start as startProgram } from '../support/edge/child.mjs'
import { listen } from '../support/listen.mjs'
import { sendJson } from '../support/responses.mjs'
import { addApi, AUDIENCE } from './api.mjs'
import { workplace } from './install.mjs'
import { jdk, maven, needJava } from './java.mjs'
import { fillForm } from './sign_in.mjs'

const run = promisify(execFile)

const fixture = fileURLToPath(new URL('spring', import.meta.url))

/** @type {import('./driver.mjs').Server} */
export const spring = {
  name: 'Spring Authorization Server',
  start,
  signIn: fillForm,
  config: ({ kind }) => ({
    scope: 'openid profile',
    // A handler always sends the hint.
    ...(kind === 'vault' && { idTokenHint: true }),
  }),
  api: '/v1/me',
  features: {
    clientAuth: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    dpop: true,
    // With the hint, Spring does not ask.
    providerLogout() {},
  },
  expected: {
    claims: 'sub: alice',
    // Spring issues no refresh tokens to public clients.
    refresh: { vault: 'no refresh token', handler: 'token stays' },
    'second refresh': 'token stays',
    'old refresh token': 'not replaced',
    'refresh after it': 'works',
    'lost response': 'continues',
    'revoked at the server': '400 invalid_grant: provider_ended',
    logout: { vault: 'revokes nothing', handler: 'revokes: 400 invalid_grant' },
    'provider’s logout': 'prompt=none shows a page',
  },
}

async function start(setup) {
  const jar = await install()
  const keys = await serveKeys(setup.clients)
  const settings = properties(setup, keys.origin)
  const server = startProgram('/usr/bin/env', [jdk('java'), '-jar', jar], {
    cwd: workplace,
    env: { ...process.env, SPRING_APPLICATION_JSON: JSON.stringify(settings) },
    isReady: (line) => line.includes('Tomcat started on port '),
  })
  const [, port] = /started on port (\d+)/.exec(await server.firstLine)
  const running = {
    origin: `http://127.0.0.1:${port}`,
    version: await version(jar),
    async stop() {
      await server.stop()
      await keys.close()
    },
  }
  return addApi(setup, running)
}

/** Builds the server, unless it is built already. Resolves with the path of its jar. */
async function install() {
  await needJava()
  const folder = `${workplace}/spring`
  const jar = `${folder}/target/server.jar`
  const sources = ['pom.xml', 'src/main/java/server/Server.java']
  const same = await Promise.all(
    sources.map(async (name) => {
      const [ours, built] = await Promise.all(
        [fixture, folder].map((place) => readFile(`${place}/${name}`, 'utf8').catch(() => null)),
      )
      return ours === built
    }),
  )
  if (existsSync(jar) && same.every(Boolean)) return jar
  console.log('    building Spring Authorization Server')
  await rm(folder, { recursive: true, force: true })
  await mkdir(workplace, { recursive: true })
  await cp(fixture, folder, { recursive: true })
  await maven(folder, 'package')
  return jar
}

/** Resolves with the version of Spring Security, which contains the server. */
async function version(jar) {
  const { stdout } = await run(jdk('jar'), ['--list', '--file', jar])
  return /spring-security-oauth2-authorization-server-(.+)\.jar/.exec(stdout)[1]
}

/** Serves the public keys of clients. */
const serveKeys = (clients) =>
  listen({
    handler: (_request, response) =>
      sendJson(response, 200, { keys: clients.flatMap(({ publicKey }) => publicKey ?? []) }),
  })

/** Returns the properties of Spring Boot, as docs/providers/spring-authorization-server.md describes them. */
const properties = ({ origin, apps, clients, user }, keys) => ({
  server: { address: '127.0.0.1', port: 0 },
  spring: {
    main: { 'banner-mode': 'off' },
    security: {
      user: { name: user.username, password: user.password },
      oauth2: {
        authorizationserver: {
          issuer: origin,
          client: Object.fromEntries(clients.map((client) => [client.id, propertiesOf(client, keys)])),
        },
      },
    },
  },
  apps: apps.join(),
  audience: AUDIENCE,
})

const propertiesOf = ({ id, auth, secret, redirectUri, postLogoutRedirectUri }, keys) => ({
  registration: {
    'client-id': id,
    ...(secret && { 'client-secret': `{noop}${secret}` }),
    'client-authentication-methods': [auth],
    'authorization-grant-types': ['authorization_code', 'refresh_token'],
    'redirect-uris': [redirectUri],
    'post-logout-redirect-uris': [postLogoutRedirectUri],
    scopes: ['openid', 'profile'],
  },
  'require-proof-key': true,
  ...(auth === 'private_key_jwt' && {
    'jwk-set-uri': keys,
    'token-endpoint-authentication-signing-algorithm': 'ES256',
  }),
  token: { 'refresh-token-time-to-live': '12h' },
})
