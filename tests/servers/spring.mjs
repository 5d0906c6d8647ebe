import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { startApi } from '../support/api.mjs'
import { start as startProgram } from '../support/edge/child.mjs'
import { workplace } from './install.mjs'
import { jdk, maven, needJava } from './java.mjs'
import { fillForm } from './sign_in.mjs'

const AUDIENCE = 'urn:strongroom:test:orders'

const fixture = fileURLToPath(new URL('spring', import.meta.url))

/** @type {import('./driver.mjs').Server} */
export const spring = {
  name: 'Spring Authorization Server',
  start,
  signIn: fillForm,
  config: () => ({ scope: 'openid profile', par: false }),
  api: '/v1/me',
  expected: {
    claims: 'sub: alice',
    refresh: 'token stays',
    'second refresh': 'token stays',
    'old refresh token': 'accepted',
    'refresh after it': 'works',
    logout: 'revokes: 400 invalid_grant',
  },
}

async function start(setup) {
  const jar = await install()
  const server = startProgram('/usr/bin/env', [jdk('java'), '-jar', jar], {
    cwd: workplace,
    env: { ...process.env, SPRING_APPLICATION_JSON: JSON.stringify(properties(setup)) },
    isReady: (line) => line.includes('Tomcat started on port '),
  })
  const [, port] = /started on port (\d+)/.exec(await server.firstLine)
  const origin = `http://127.0.0.1:${port}`
  const api = await startApi({
    issuer: setup.origin,
    provider: origin,
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

/** Returns the properties of Spring Boot, as docs/providers/spring-authorization-server.md describes them. */
const properties = ({ origin, apps, clients, user }) => ({
  server: { address: '127.0.0.1', port: 0 },
  spring: {
    main: { 'banner-mode': 'off' },
    security: {
      user: { name: user.username, password: user.password },
      oauth2: {
        authorizationserver: {
          issuer: origin,
          client: Object.fromEntries(clients.map((client) => [client.id, registration(client)])),
        },
      },
    },
  },
  apps: apps.join(),
  audience: AUDIENCE,
})

const registration = ({ id, secret, redirectUri }) => ({
  registration: {
    'client-id': id,
    ...(secret && { 'client-secret': `{noop}${secret}` }),
    'client-authentication-methods': [secret ? 'client_secret_basic' : 'none'],
    'authorization-grant-types': ['authorization_code', 'refresh_token'],
    'redirect-uris': [redirectUri],
    scopes: ['openid', 'profile'],
  },
  'require-proof-key': true,
  token: { 'refresh-token-time-to-live': '12h' },
})
