/** A PDS of the AT Protocol, which is also the authorization server of its users, with one account. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { startDirectory } from './plc.mjs'

const { origin, user, document } = JSON.parse(process.env.SETUP)
const folder = process.env.FOLDER

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== 'better-sqlite3') return next(specifier, context)
    return { url: new URL('sqlite.mjs', import.meta.url).href, shortCircuit: true }
  },
})
process.env.LOG_ENABLED = 'false'
const { PDS, envToCfg, envToSecrets } = await import('@atproto/pds')

const random = (bytes = 32) => randomBytes(bytes).toString('hex')
const environment = {
  devMode: true,
  hostname: 'localhost',
  port: Number(new URL(origin).port),
  dataDirectory: folder,
  blobstoreDiskLocation: join(folder, 'blobs'),
  didPlcUrl: await startDirectory(),
  inviteRequired: false,
  disableSsrfProtection: true,
  serviceHandleDomains: ['.test'],
  jwtSecret: random(),
  dpopSecret: random(),
  adminPassword: random(),
  plcRotationKeyK256PrivateKeyHex: random(),
}
const pds = await PDS.create(envToCfg(environment), envToSecrets(environment))
// This throws if the document is not valid.
pds.ctx.oauthProvider.clientManager.validateClientMetadata(document.client_id, document)
await pds.ctx.sequencer.start()
// `pds.start()` would listen on all interfaces.
const server = createServer(pds.app)
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address()

const created = await fetch(`http://127.0.0.1:${port}/xrpc/com.atproto.server.createAccount`, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    handle: `${user.username}.test`,
    email: 'alice@example.com',
    password: user.password,
  }),
})
if (!created.ok) throw new Error(`no account: ${await created.text()}`)
console.log(JSON.stringify({ port }))
