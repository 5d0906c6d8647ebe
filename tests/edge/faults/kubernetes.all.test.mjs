// Kubernetes' file of docs/edge-deploy.md, without a cluster: two instances get the file's probes, and one of them gets
// `SIGTERM` under load. Only its readiness probe tells the load balancer, which is the worst case.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startServer } from '../../support/edge/child.mjs'
import { freePort } from '../../support/listen.mjs'

const { yaml } = createRequire(import.meta.url)('playwright-core/lib/utilsBundle')
const APP = fileURLToPath(new URL('../apps/restarting.mjs', import.meta.url))
const guide = await readFile(new URL('../../../docs/edge-deploy.md', import.meta.url), 'utf8')
const [, file] = /```yaml\n# handler\.yaml\n([^]*?)```/.exec(guide)
const [deployment, service] = yaml.parseAllDocuments(file).map((document) => document.toJS())
const { template, selector } = deployment.spec
const { terminationGracePeriodSeconds: grace, containers } = template.spec
const [{ ports, readinessProbe, livenessProbe }] = containers

/** The numbers of the guide's server. */
const DRAIN = Number(/listener\.stop\(server, { drain: (\d+) }\)/.exec(guide)[1])
const LIMIT = Number(/have `limit` seconds \((\d+) by default\)/.exec(guide)[1])
const PORT = Number(/createServer\(listener\)\.listen\((\d+)\)/.exec(guide)[1])

/** Sends the requests of a probe, as kubelet does, until its `stop` is called. `isGood` is the probe's result. */
function startProbe({ httpGet, periodSeconds, failureThreshold, timeoutSeconds = 1 }, port) {
  let failures = 0
  const probe = { isGood: undefined, statuses: [], result: new EventTarget() }
  const ask = async () => {
    const signal = AbortSignal.timeout(timeoutSeconds * 1000)
    const url = `http://127.0.0.1:${port}${httpGet.path}`
    const status = await fetch(url, { signal, headers: { connection: 'close' } }).then(
      (response) => response.status,
      (error) => error.name,
    )
    probe.statuses.push(status)
    failures = status >= 200 && status < 400 ? 0 : failures + 1
    if (failures === 0) probe.isGood = true
    else if (failures >= failureThreshold) probe.isGood = false
    probe.result.dispatchEvent(new Event('result'))
  }
  const timer = setInterval(ask, periodSeconds * 1000)
  void ask()
  return Object.assign(probe, { stop: () => clearInterval(timer) })
}

async function startPod() {
  const port = await freePort()
  const server = await startServer(process.execPath, [APP, `${port}`, `${DRAIN}`], {
    env: {},
    cwd: process.cwd(),
  })
  return { server, port, ready: startProbe(readinessProbe, port), live: startProbe(livenessProbe, port) }
}

/** Resolves when the probe has this result. */
const resultOf = async (probe, isGood) => {
  while (probe.isGood !== isGood) await once(probe.result, 'result')
}

test('parts of the file fit together, and to the server', () => {
  assert.deepEqual([deployment.kind, service.kind], ['Deployment', 'Service'])
  assert.deepEqual(selector.matchLabels, template.metadata.labels)
  assert.deepEqual(service.spec.selector, template.metadata.labels)
  assert.equal(ports[0].containerPort, PORT)
  for (const port of [
    service.spec.ports[0].targetPort,
    readinessProbe.httpGet.port,
    livenessProbe.httpGet.port,
  ])
    assert.equal(port, ports[0].name)
  assert.ok(grace > DRAIN + LIMIT, 'the process ends before it is killed')
  const { periodSeconds, failureThreshold, timeoutSeconds = 1 } = readinessProbe
  assert.ok(periodSeconds * failureThreshold + timeoutSeconds < DRAIN, 'the probe fails within the drain')
})

test('pod that ends loses no request', { timeout: 60_000 }, async (t) => {
  const pods = [await startPod(), await startPod()]
  let isOver = false
  t.after(async () => {
    isOver = true
    for (const { server, ready, live } of pods) {
      ready.stop()
      live.stop()
      await server.stop()
    }
  })
  await Promise.all(pods.map(({ ready }) => resultOf(ready, true)))
  const [ending] = pods
  const counts = {}
  const served = new Map(pods.map((pod) => [pod, 0]))
  const load = async (_, n) => {
    const headers = { 'X-Strongroom': '1', 'Sec-Fetch-Site': 'same-origin' }
    const init = n % 2 ? { method: 'POST', headers } : { headers }
    for (let at = n; !isOver; at++) {
      const able = pods.filter(({ ready }) => ready.isGood)
      if (!able.length) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        continue
      }
      const pod = able[at % able.length]
      const url = `http://127.0.0.1:${pod.port}/auth/${n % 2 ? 'logout' : 'session'}`
      const status = await fetch(url, init).then(
        async (response) => (await response.text(), response.status),
        (error) => error.cause?.code ?? error.name,
      )
      counts[status] = (counts[status] ?? 0) + 1
      served.set(pod, served.get(pod) + 1)
    }
  }
  const loads = Array.from({ length: 6 }, load)
  const before = served.get(ending)
  const asked = performance.now()
  const ended = ending.server.end('SIGTERM')
  await resultOf(ending.ready, false)
  const unready = performance.now() - asked
  assert.equal(ending.ready.statuses.at(-1), 503)
  assert.ok(unready < DRAIN * 1000, `${unready}`)
  assert.ok(served.get(ending) > before, 'requests still arrived')
  assert.deepEqual(await ended, { code: 0, signal: null })
  assert.ok(performance.now() - asked < grace * 1000)
  isOver = true
  await Promise.all(loads)
  assert.deepEqual(Object.keys(counts), ['200'], JSON.stringify(counts))
  assert.ok(ending.live.isGood, `${ending.live.statuses}`)
})
