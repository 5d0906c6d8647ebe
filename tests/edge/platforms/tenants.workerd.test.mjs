// Tenants on Cloudflare's runtime, where a promise may end with the request that created it.
import assert from 'node:assert/strict'
import { request as open } from 'node:http'
import { after, before, test } from 'node:test'
import { bundle, newFolder } from '../../support/edge/bundle.mjs'
import { publicClient, startPublicProvider } from '../../support/edge/in_process.mjs'
import { listen } from '../../support/listen.mjs'
import { serveWorkers, WORKERD_BUNDLING } from '../../support/edge/workerd.mjs'

const names = Array.from({ length: 10 }, (_, i) => `t${i}`)
const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
let provider, front, folder, workers
/** Called when a request for the provider's metadata arrives. */
let arrived
/** Functions that respond to these requests. */
const waiting = []
before(async () => {
  provider = await startPublicProvider({ accessTokenSeconds: 600 })
  const metadata = await (await fetch(`${provider.origin}/.well-known/openid-configuration`)).text()
  front = await listen({
    handler: (_request, response) => {
      response.setHeader('content-type', 'application/json')
      const respond = () => response.end(metadata.replaceAll(provider.origin, front.origin))
      waiting.push(respond)
      arrived()
    },
  })
  folder = await newFolder()
  const config = { ...publicClient(front), requestTimeout: 3 }
  const source = `import { inIsolate, tenants } from 'strongroom/edge'
    const config = { ...${JSON.stringify(config)}, coordinator: inIsolate() }
    export default tenants({
      select: ({ url }) => new URL(url).pathname.split('/')[1],
      create: (name) => ({ ...config, base: '/' + name + '/auth' }),
    })`
  const built = await bundle({ folder: folder.path, source, ...WORKERD_BUNDLING })
  workers = await serveWorkers({ folder: folder.path, ...built, env: {}, isolates: 1 })
})
after(async () => {
  await workers?.stop()
  await folder?.remove()
  await front?.close()
  await provider?.close()
})

/** Begins a login. Resolves with the status, or with 0 after a call of `leave`. */
const login = (name) => {
  const request = open(new URL(`/${name}/auth/login`, workers.urls[0]), { headers, agent: false })
  const status = new Promise((resolve) => {
    request.on('response', (response) => resolve(response.resume().statusCode))
    request.on('error', () => resolve(0))
  })
  request.end()
  return { status, leave: () => request.destroy() }
}

// claim: handler-70
test('tenants share a document in flight, also if its first reader leaves', { timeout: 60_000 }, async () => {
  const isRequested = new Promise((resolve) => (arrived = resolve))
  const first = login('first')
  await isRequested
  const others = names.map(login)
  first.leave()
  assert.equal(await first.status, 0)
  for (const respond of waiting) respond()
  const statuses = await Promise.all(others.map(({ status }) => status))
  assert.deepEqual(new Set(statuses), new Set([303]))
  assert.equal(waiting.length, 1)
})
