/** Drives WebKitGTK with WebDriver (https://www.w3.org/TR/webdriver2/), on a virtual screen. */
import { createInterface } from 'node:readline'
import { end, expression, poll, start } from './driver.mjs'
import { findProgram } from '../browser.mjs'
import { freePort } from '../listen.mjs'

/** The name of an element in the protocol's JSON (WebDriver 12.2). */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'

/** @returns {Promise<import('./driver.mjs').Engine>} */
export async function startWebKit() {
  const screen = await startScreen()
  const sessions = new Set()
  const engine = {
    name: 'webkit',
    version: '',
    async newSession() {
      // Each session needs its own driver, because a driver has one browser and a browser has one session.
      const session = await startSession(screen.display)
      sessions.add(session)
      engine.version ||= session.version
      return session
    },
    async close() {
      await Promise.all([...sessions].map((session) => session.close()))
      await end(screen.child)
    },
  }
  return engine
}

/** Starts a virtual display. Its server chooses a free display number. */
async function startScreen() {
  const args = ['-displayfd', '1', '-screen', '0', '1024x768x24', '-nolisten', 'tcp', '-noreset']
  const child = start(findProgram('screen'), args, { stdio: ['ignore', 'pipe', 'ignore'] })
  for await (const line of createInterface(child.stdout)) return { child, display: `:${line.trim()}` }
  throw new Error('Xvfb did not start')
}

async function startSession(display) {
  const port = await freePort()
  const driver = [findProgram('webkit'), `--port=${port}`, '--host=127.0.0.1']
  const child = start(findProgram('bus'), ['--', ...driver], {
    stdio: 'ignore',
    env: {
      ...process.env,
      DISPLAY: display,
      GDK_BACKEND: 'x11',
      LIBGL_ALWAYS_SOFTWARE: '1',
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      NO_AT_BRIDGE: '1',
    },
  })
  const driverAddress = `http://127.0.0.1:${port}`
  const request = async (method, path, body) => {
    const response = await fetch(driverAddress + path, {
      method,
      body: body && JSON.stringify(body),
      headers: body && { 'Content-Type': 'application/json' },
    })
    const { value } = await response.json()
    if (!response.ok) throw new Error(`${method} ${path.split('/').at(-1)}: ${value.error}: ${value.message}`)
    return value
  }
  await poll(() => request('GET', '/status').catch(() => undefined), 'WebKitWebDriver')
  const { sessionId, capabilities } = await request('POST', '/session', {
    capabilities: { alwaysMatch: { pageLoadStrategy: 'normal' } },
  })
  const send = (method, path, body) => request(method, `/session/${sessionId}${path}`, body)
  await send('POST', '/timeouts', { script: 60_000, pageLoad: 30_000 })

  // The protocol has one current window, so commands for different tabs run one after the other.
  let turn = Promise.resolve()
  let current
  const inWindow = (handle, work) => {
    const result = turn.then(async () => {
      if (current !== handle) await send('POST', '/window', { handle })
      current = handle
      return work(send)
    })
    turn = result.catch(() => {
      current = undefined
    })
    return result
  }
  const handles = () => send('GET', '/window/handles')
  const known = new Set(await handles())
  let isFresh = true

  const tabAt = (handle) => {
    known.add(handle)
    return tabOf({ handle, inWindow: (work) => inWindow(handle, work), handles })
  }

  return {
    version: capabilities.browserVersion,
    async open(url) {
      const first = isFresh ? [...known][0] : undefined
      isFresh = false
      const living = await handles()
      // WebKit opens no popup from a tab in the background, and a new tab would be there.
      const handle =
        first ??
        (await inWindow(living.includes(current) ? current : living[0], () =>
          send('POST', '/window/new', { type: 'window' }).then((opened) => opened.handle),
        ))
      const tab = tabAt(handle)
      await tab.goto(url)
      return tab
    },
    async openedBy(begin) {
      await begin()
      const handle = await poll(
        async () => (await handles()).find((each) => !known.has(each)),
        'a window that opens',
      )
      return tabAt(handle)
    },
    async close() {
      await request('DELETE', `/session/${sessionId}`).catch(() => {})
      await end(child)
    },
  }
}

function tabOf({ handle, inWindow, handles }) {
  const run = (script) => inWindow((send) => send('POST', '/execute/sync', { script, args: [] }))
  let last = 0

  /**
   * Evaluates a script in the page. The protocol's asynchronous scripts would block all other tabs. A script therefore
   * stores its outcome in the page, and the driver polls for it.
   */
  async function evaluate(script, ...parameters) {
    const key = `strongroom test ${++last}`
    // The script is defined outside the function that stores its outcome, so that this function's names do not hide
    // names of the page.
    await run(`((outcome, work) => {
        work().then(
          (value) => { outcome.text = JSON.stringify({ value }) },
          (error) => { outcome.text = JSON.stringify({ error: String(error) }) },
        )
      })((globalThis[Symbol.for('${key}')] = {}), async () => ${expression(script, parameters)})`)
    const text = await poll(
      () =>
        run(`
          const outcome = globalThis[Symbol.for('${key}')]
          if (!outcome) return '{"error":"the page was left"}'
          if (outcome.text) delete globalThis[Symbol.for('${key}')]
          return outcome.text ?? null`),
      'a script in the page',
      60_000,
    )
    const { value, error } = JSON.parse(text)
    if (error) throw new Error(error)
    return value
  }

  const find = (send, selector) =>
    poll(
      () => send('POST', '/element', { using: 'css selector', value: selector }).catch(() => undefined),
      selector,
    )

  return {
    handle,
    console: null,
    get closed() {
      return poll(async () => !(await handles()).includes(handle), 'a window that closes').then(() => {})
    },
    evaluate,
    goto: (url) => inWindow(async (send) => void (await send('POST', '/url', { url }))),
    reload: () => inWindow(async (send) => void (await send('POST', '/refresh', {}))),
    back: () => inWindow(async (send) => void (await send('POST', '/back', {}))),
    url: () => inWindow((send) => send('GET', '/url')),
    hover: (selector) =>
      inWindow(async (send) => {
        const origin = await find(send, selector)
        // WebKit ignores a move to the place at which the mouse is already.
        const moves = ['viewport', origin].map((from) => ({
          type: 'pointerMove',
          duration: 0,
          x: 0,
          y: 0,
          origin: from,
        }))
        await send('POST', '/actions', { actions: [{ type: 'pointer', id: 'mouse', actions: moves }] })
      }),
    click: (selector) =>
      inWindow(async (send) => {
        const { [ELEMENT]: id } = await find(send, selector)
        await send('POST', `/element/${id}/click`, {})
      }),
    cookies: () => inWindow((send) => send('GET', '/cookie')),
    close: () => inWindow(async (send) => void (await send('DELETE', '/window'))),
  }
}
