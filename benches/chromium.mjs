/**
 * A headless Chromium that nobody watches. A driver that stays attached to a page is told of each of its
 * requests and slows them down, but not those of a SharedWorker: the vault would win by that alone. So the
 * driver signs in and detaches; pages are opened by the browser's own HTTP interface, measure themselves and
 * report by HTTP.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { ARGS, findBrowser } from '../tests/support/browser.mjs'

/** Without a driver, and off the processor too. */
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
  const { Browser: version } = await (await ask('version')).json()

  return {
    /** Of its first process. */
    pid: child.pid,
    version: version.replace(/^\w+\//, 'Chromium '),
    /** Opens a tab in front of the others; returns what closes it. */
    async open(url) {
      const { id } = await (await ask(`new?${encodeURIComponent(url)}`, { method: 'PUT' })).json()
      return () => ask(`close/${id}`)
    },
    /** Lets `action` drive a new tab, then detaches from it. The tab stays open. */
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

/** Resolves with the browser's HTTP interface, which it names when it listens. */
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
