/**
 * Checks the dashboard and the alerts of examples/observe against the output of a real OpenTelemetry Collector, with the
 * configuration there: `node tests/observe/check.mjs`. Needs Go, which builds the collector on first use (about ten
 * minutes), and a build of the package. If `promtool` is there, it reads the alerts, too.
 */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startServer } from '../support/edge/child.mjs'
import { ORIGIN, publicClient, startPublicProvider } from '../support/edge/in_process.mjs'
import { Visitor } from '../support/edge/visitor.mjs'
import { listen } from '../support/listen.mjs'
import { until } from '../support/until.mjs'

const BUILDER = 'go.opentelemetry.io/collector/cmd/builder@v0.165.0'
const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const work = at('../../target/collector')
const collector = `${work}/out/otelcol`
const run = promisify(execFile)
const step = (text) => console.log(`  ${text}`)

const build = async () => {
  if (existsSync(collector)) return
  step('building the collector with Go, once')
  await mkdir(work, { recursive: true })
  await copyFile(at('./builder.yml'), `${work}/builder.yml`)
  const go = { cwd: work, env: { ...process.env, GOBIN: work } }
  await run('go', ['install', BUILDER], go).catch(({ code, stderr }) => {
    throw new Error(code === 'ENOENT' ? 'Go is missing: install it from https://go.dev' : stderr)
  })
  await run(`${work}/builder`, ['--config', 'builder.yml'], { ...go, maxBuffer: 1e8 })
}

/** Starts the collector, whose ports are those of the example. */
const startCollector = async () => {
  const config = at('../../examples/observe/collector.yml')
  const child = spawn(collector, ['--config', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const said = []
  child.stderr.on('data', (data) => said.push(data))
  child.once('exit', (code) => code && console.error(said.join('').slice(-2000)))
  process.once('exit', () => child.kill())
  await until(async () => (await fetch('http://127.0.0.1:9464/metrics').catch(() => undefined))?.ok)
  return () => child.kill()
}

const startApp = async (provider, api) => {
  const config = {
    ...publicClient(provider),
    routes: [{ prefix: '/api/', upstream: `${api.origin}/` }],
    session: { grace: 1, recheck: 0 },
  }
  const env = { COLLECTOR: 'http://127.0.0.1:4318', CONFIG: JSON.stringify(config) }
  return startServer(process.execPath, [at('../edge/apps/traced.mjs')], { env, cwd: process.cwd() })
}

/** Lets everything happen that the dashboard shows. */
const live = async (app, provider) => {
  const visitor = () => new Visitor({ origin: ORIGIN, urls: [app.said.url] })
  const users = [visitor(), visitor()]
  for (const user of users) await user.signIn()
  step('a refused callback, a refused call and a logout')
  await visitor().go('/auth/callback?code=a&state=b')
  await visitor().call('/api/orders')
  const other = visitor()
  await other.signIn()
  await other.call('/auth/logout', { method: 'POST' })
  step('refreshes, one for three requests')
  const copy = users[0].copy()
  await new Promise((resolve) => setTimeout(resolve, 3000))
  await Promise.all([1, 2, 3].map(() => users[0].call('/api/orders')))
  step('a copied cookie')
  await until(async () => {
    await users[0].call('/api/orders')
    return (await copy.copy().call('/api/orders')).status === 401
  })
  step('an outage of the provider')
  const more = [users[1], visitor()]
  await more[1].signIn()
  await provider.close()
  await until(async () => {
    const responses = await Promise.all(more.map((user) => user.call('/api/orders')))
    return (
      responses.every(({ status }) => status === 503) && (await scrape()).includes('strongroom_outage_active')
    )
  })
}

const scrape = async () => (await fetch('http://127.0.0.1:9464/metrics')).text()

/** Returns the names of a file's metrics, each with the labels that its queries use. */
const used = async (file) => {
  const text = await readFile(at(`../../examples/observe/${file}`), 'utf8')
  const names = [...text.matchAll(/\bstrongroom_\w+/g)].map(([name]) => name)
  const isLabel = (name) => /^strongroom_(server|reason|operation|result)$/.test(name)
  return { metrics: names.filter((name) => !isLabel(name)), labels: names.filter(isLabel) }
}

console.log('examples/observe')
await build()
const stopCollector = await startCollector()
const api = await listen({ handler: (_request, response) => response.end('[]') })
const provider = await startPublicProvider({ accessTokenSeconds: 2 })
const app = await startApp(provider, api)
await live(app, provider)
const missing = new Set()
await until(async () => {
  const text = await scrape()
  missing.clear()
  for (const file of ['dashboard.json', 'alerts.yml']) {
    const { metrics, labels } = await used(file)
    for (const name of metrics) if (!text.includes(`\n${name}{`)) missing.add(name)
    for (const label of labels) if (!text.includes(`${label}="`)) missing.add(label)
  }
  return missing.size === 0 || (step(`waiting for ${[...missing].join(', ')}`), false)
})
step("each metric and label of dashboard and alerts is in the collector's output")
const rules = at('../../examples/observe/alerts.yml')
const read = await run('promtool', ['check', 'rules', rules]).catch((error) => error)
if (read.code === 'ENOENT') step('promtool is not there: the alerts were not read by it')
else if (read.code) throw new Error(read.stderr)
else {
  const tests = await run('promtool', ['test', 'rules', at('./alerts.test.yml')]).catch((error) => error)
  if (tests.code) throw new Error(tests.stdout + tests.stderr)
  step('promtool: the alerts fire in their cases, and not in a healthy hour')
}
await app.stop()
await api.close()
stopCollector()
