/**
 * Starts a headless Chromium without an attached driver. An attached driver receives an event for each request of a
 * page, which slows the request down. Requests of a SharedWorker are not slowed down, which would favor the vault.
 * Therefore the driver signs in and detaches. Pages are opened through the browser's own HTTP interface, measure
 * themselves, and report over HTTP.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { ARGS, findBrowser } from '../tests/support/browser.mjs'
import { traceTasks } from './tasks.mjs'

/** The browser's arguments: those of the tests, and a port for its HTTP interface. */
const BENCH_ARGS = [
  ...ARGS,
  '--headless=new',
  '--remote-debugging-port=0',
  '--disable-extensions',
  '--mute-audio',
]

export async function startChromium() {
  const profile = await mkdtemp(join(tmpdir(), 'strongroom-bench-'))
  const child = spawn(findBrowser(), [...BENCH_ARGS, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const endpoint = await address(child)
  const ask = async (path, init) => {
    const response = await fetch(`${endpoint}/json/${path}`, init)
    if (!response.ok) throw new Error(`the browser answered ${path} with ${response.status}`)
    return response
  }
  const { Browser: version, webSocketDebuggerUrl: devtools } = await (await ask('version')).json()

  return {
    /** The ID of the browser's first process. */
    pid: child.pid,
    version: version.replace(/^\w+\//, 'Chromium '),
    /** Starts to record the tasks of all threads: tasks.mjs. */
    traceTasks: () => traceTasks(devtools),
    /** Opens a tab in front of the others. Resolves with a function that closes the tab. */
    async open(url) {
      const { id } = await (await ask(`new?${encodeURIComponent(url)}`, { method: 'PUT' })).json()
      return () => ask(`close/${id}`)
    },
    /** Lets `action` drive a new tab, and then detaches the driver. The tab stays open. */
    async drive(action) {
      const driver = await chromium.connectOverCDP(endpoint)
      try {
        await action(await driver.contexts()[0].newPage())
      } finally {
        await driver.close()
      }
    },
    async close() {
      const exit = once(child, 'exit')
      child.kill()
      await exit
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * Resolves with the URL of the browser's HTTP interface. The browser prints this URL as soon as the interface listens.
 */
function address(child) {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text
      const [, host] = /DevTools listening on ws:\/\/([^/]+)\//.exec(said) ?? []
      if (host) resolve(`http://${host}`)
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the browser ended with ${code}:\n${said}`)))
  })
}
