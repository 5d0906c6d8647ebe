/**
 * Drives Firefox with WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which Firefox supports without a separate
 * driver.
 */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import WebSocket from 'ws'
import { end, expression, poll, start } from './driver.mjs'
import { findProgram } from '../browser.mjs'

/** Preferences that keep Firefox from using the network. Firefox itself sets others when a program drives it. */
const PREFERENCES = {
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.trr.mode': 5,
  'toolkit.telemetry.enabled': false,
}

/**
 * @param {{ acceptInsecureCerts?: boolean }} [capabilities]
 * @param {Record<string, unknown>} [preferences] More preferences.
 * @returns {Promise<import('./driver.mjs').Engine>}
 */
export async function startFirefox(capabilities = {}, preferences = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'strongroom-'))
  const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(
    ([name, value]) => `user_pref("${name}", ${value});\n`,
  )
  await writeFile(join(profile, 'user.js'), lines.join(''))
  const args = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0', 'about:blank']
  const child = start(findProgram('firefox'), args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const client = await connect(await addressOf(child))
  const session = await client.send('session.new', {
    capabilities: { alwaysMatch: capabilities },
  })
  await client.send('session.subscribe', {
    events: ['log.entryAdded', 'browsingContext.contextCreated', 'browsingContext.contextDestroyed'],
  })
  return {
    name: 'firefox',
    client,
    version: session.capabilities.browserVersion,
    newSession: () => newSession(client),
    async close() {
      client.send('browser.close').catch(() => {})
      await end(child)
      client.close()
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Resolves with the URL of Firefox's driver, whose port Firefox chooses and prints. */
async function addressOf(child) {
  const said = []
  for await (const line of createInterface(child.stderr)) {
    said.push(line)
    const address = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1]
    if (!address) continue
    // The rest of the output is discarded, because a full pipe would stop Firefox.
    child.stderr.resume()
    return `${address}/session`
  }
  throw new Error(`Firefox did not start:\n${said.join('\n')}`)
}

/** Opens a WebSocket for commands, their responses, and events. */
async function connect(address) {
  const socket = new WebSocket(address, { perMessageDeflate: false, maxPayload: 0 })
  await once(socket, 'open')
  const waiting = new Map()
  const listeners = new Set()
  let last = 0
  socket.on('message', (data) => {
    const message = JSON.parse(data)
    if (message.type === 'event') return listeners.forEach((listener) => listener(message))
    const { resolve, reject, method } = waiting.get(message.id) ?? {}
    waiting.delete(message.id)
    if (message.type === 'success') resolve?.(message.result)
    else reject?.(new Error(`${method}: ${message.error}: ${message.message}`))
  })
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('Firefox is closed'))
  })
  return {
    send: (method, params = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject, method })
        socket.send(JSON.stringify({ id: last, method, params }))
      }),
    /** @param {(event: { method: string, params: object }) => void} listener */
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => socket.terminate(),
  }
}

async function newSession(client) {
  const { userContext } = await client.send('browser.createUserContext')
  return {
    userContext,
    async open(url) {
      const { context } = await client.send('browsingContext.create', { type: 'tab', userContext })
      const tab = tabOf(client, context)
      await tab.goto(url)
      return tab
    },
    async openedBy(begin) {
      let forget
      const opened = new Promise((resolve) => {
        forget = client.listen(({ method, params }) => {
          const isOwn = params.userContext === userContext && params.parent === null
          if (method === 'browsingContext.contextCreated' && isOwn) resolve(params.context)
        })
      })
      await begin()
      const context = await opened
      forget()
      return tabOf(client, context)
    },
    close: () => client.send('browser.removeUserContext', { userContext }).then(() => {}),
  }
}

function tabOf(client, context) {
  const log = []
  const closed = new Promise((resolve) => {
    const forget = client.listen(({ method, params }) => {
      if (method === 'log.entryAdded' && params.source.context === context) log.push(textOf(params))
      if (method !== 'browsingContext.contextDestroyed' || params.context !== context) return
      forget()
      resolve()
    })
  })
  const send = (method, params) => client.send(method, { context, ...params })

  async function run(text) {
    const answer = await client.send('script.evaluate', {
      expression: text,
      target: { context },
      awaitPromise: true,
      userActivation: false,
    })
    if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text)
    return answer.result.value
  }

  /** Moves the mouse to an element, and then performs these actions. */
  async function point(selector, actions) {
    const locator = { type: 'css', value: selector }
    const node = await poll(async () => {
      const { nodes } = await send('browsingContext.locateNodes', { locator }).catch(() => ({ nodes: [] }))
      return nodes[0]
    }, selector)
    await run(`document.querySelector(${JSON.stringify(selector)}).scrollIntoView({ block: 'center' })`)
    const origin = { type: 'element', element: { sharedId: node.sharedId } }
    const move = { type: 'pointerMove', x: 0, y: 0, origin }
    await send('input.performActions', {
      actions: [{ type: 'pointer', id: 'mouse', actions: [move, ...actions] }],
    })
  }

  return {
    context,
    console: log,
    closed,
    // The result is converted to JSON in the page, because the protocol's own format is more complex.
    async evaluate(script, ...parameters) {
      const text = await run(`(async () => JSON.stringify(await ${expression(script, parameters)}))()`)
      return text === undefined ? undefined : JSON.parse(text)
    },
    goto: async (url) => void (await send('browsingContext.navigate', { url, wait: 'complete' })),
    reload: async () => void (await send('browsingContext.reload', { wait: 'complete' })),
    back: async () => void (await send('browsingContext.traverseHistory', { delta: -1 })),
    url: () => run('location.href'),
    hover: (selector) => point(selector, []),
    click: (selector) =>
      point(selector, [
        { type: 'pointerDown', button: 0 },
        { type: 'pointerUp', button: 0 },
      ]),
    async cookies() {
      const { hostname } = new URL(await run('location.href'))
      const { cookies } = await client.send('storage.getCookies', {
        filter: { domain: hostname },
        partition: { type: 'context', context },
      })
      return cookies.map(({ value, ...cookie }) => ({ ...cookie, value: value.value }))
    },
    close: () => send('browsingContext.close').then(() => {}),
  }
}

const textOf = ({ text, args = [], stackTrace }) =>
  [text, JSON.stringify(args), JSON.stringify(stackTrace ?? null)].join('\n')
