/**
 * Simulates events of a user's device: the device goes offline or sleeps, its clock is wrong, or its browser crashes.
 */
import { once } from 'node:events'

/** Signals that stop and resume a process. */
const STOP = 'SIGSTOP'
const GO_ON = 'SIGCONT'

/**
 * Stops every process of the browser, as sleep does: no timer fires, and nothing is read from the network. Unlike
 * sleep, this does not stop the monotonic clock; see `CLOCK`.
 *
 * @param {import('playwright-core').Browser} browser
 * @returns {Promise<() => void>} A function that wakes the browser.
 */
export async function fallAsleep(browser) {
  const session = await browser.newBrowserCDPSession()
  const { processInfo } = await session.send('SystemInfo.getProcessInfo')
  await session.detach()
  const signal = (name) => processInfo.forEach(({ id }) => process.kill(id, name))
  signal(STOP)
  return () => signal(GO_ON)
}

/**
 * Takes a page and the shared workers of its browser context offline, or back online. Playwright's own `setOffline()`
 * affects only pages.
 *
 * @param {import('playwright-core').Page} page
 * @param {boolean} isOffline
 */
export async function setOffline(page, isOffline) {
  const conditions = { offline: isOffline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 }
  workers.set(page, workers.get(page) ?? (await attachToWorkers(page)))
  for (const send of workers.get(page)) {
    await send('Network.emulateNetworkConditions', conditions)
    // The browser responds before its network process has the conditions, so a request could still overtake them.
    while ((await isOnline(send)) === isOffline);
  }
  await page.context().setOffline(isOffline)
}

/** Resolves with whether a worker can reach the site of its own file. */
async function isOnline(send) {
  const expression = "fetch(location.href, { cache: 'no-store' }).then(() => true, () => false)"
  return (await send('Runtime.evaluate', { expression, awaitPromise: true })).result.value
}

/**
 * Functions that send commands to the workers of each page. The CDP sessions stay open, because a closed session would
 * restore the network.
 */
const workers = new WeakMap()

/**
 * @returns {Promise<((method: string, params: object) => Promise<object>)[]>} For each worker, a function that sends a
 *   command to the worker.
 */
async function attachToWorkers(page) {
  const session = await page.context().browser().newBrowserCDPSession()
  const targets = await sharedWorkers(session, page)
  if (!targets.length) throw new Error('no shared worker to take offline')
  return Promise.all(targets.map(({ targetId }) => attach(session, targetId)))
}

/** Resolves with the shared workers of a page's browser context. */
async function sharedWorkers(session, page) {
  const own = await page.context().newCDPSession(page)
  const { browserContextId } = (await own.send('Target.getTargetInfo')).targetInfo
  await own.detach()
  const { targetInfos } = await session.send('Target.getTargets')
  return targetInfos.filter(
    (target) => target.type === 'shared_worker' && target.browserContextId === browserContextId,
  )
}

async function attach(session, targetId) {
  const { sessionId } = await session.send('Target.attachToTarget', { targetId, flatten: false })
  const waiting = new Map()
  let last = 0
  session.on('Target.receivedMessageFromTarget', (event) => {
    const { id, error, result } = event.sessionId === sessionId ? JSON.parse(event.message) : {}
    waiting.get(id)?.(error ? Promise.reject(new Error(error.message)) : result)
    waiting.delete(id)
  })
  const send = (method, params = {}) =>
    new Promise((resolve, reject) => {
      const message = JSON.stringify({ id: ++last, method, params })
      waiting.set(last, resolve)
      session.send('Target.sendMessageToTarget', { sessionId, message }).catch(reject)
    })
  await send('Network.enable')
  return send
}

/**
 * A script that a worker imports first. It replaces the worker's clocks, which a page can then set with `setClocks()`.
 * A test cannot change the machine's own clock, because all other processes use it too.
 */
export const CLOCK = `
const ahead = { wall: 0, monotonic: 0 }
const { now } = Date
const monotonic = performance.now.bind(performance)
Date.now = () => now() + ahead.wall
performance.now = () => monotonic() + ahead.monotonic
export const set = (changed) => Object.assign(ahead, changed)
const channel = new BroadcastChannel('clock')
channel.onmessage = ({ data }) => {
  if (!data) return
  set(data)
  channel.postMessage(null)
}
`

/**
 * Sets the clocks of a worker that has imported `CLOCK`, in milliseconds relative to the true time. `wall` imitates a
 * user who sets the clock, and `monotonic` a clock that stops during sleep.
 *
 * @param {import('playwright-core').Page} page
 * @param {{ wall?: number, monotonic?: number }} ahead
 */
export function setClocks(page, ahead) {
  return page.evaluate((data) => {
    const channel = new BroadcastChannel('clock')
    return new Promise((resolve) => {
      channel.onmessage = () => resolve(channel.close())
      channel.postMessage(data)
    })
  }, ahead)
}

/**
 * Freezes a page and its dedicated workers, as Chromium does with hidden tabs. Another page of the context must be in front.
 *
 * @returns {Promise<() => Promise<void>>} Lets the page continue.
 */
export async function freeze(page) {
  // Playwright lets every page believe that it is visible, and Chromium freezes no visible page. No public option ends this.
  const { _client } = page._connection.toImpl(page).delegate._mainFrameSession
  await _client.send('Emulation.setFocusEmulationEnabled', { enabled: false })
  await page.waitForFunction(() => document.hidden, null, { polling: 20 })
  const devtools = await page.context().newCDPSession(page)
  const enter = (state) => devtools.send('Page.setWebLifecycleState', { state })
  await enter('frozen')
  return () => enter('active')
}

/** Crashes a tab and its process. */
export async function crash(page) {
  const crashed = once(page, 'crash')
  const devtools = await page.context().newCDPSession(page)
  // A crashed page cannot respond, so the command's error is ignored.
  devtools.send('Page.crash').catch(() => {})
  await crashed
}

/**
 * Kills the shared workers of a page's browser context, and resolves when they have ended. Dedicated workers end with
 * their page.
 */
export async function killWorkers(page) {
  const session = await page.context().browser().newBrowserCDPSession()
  const running = async () => (await sharedWorkers(session, page)).map(({ targetId }) => targetId)
  const ids = await running()
  for (let left = ids; left.length > 0; left = (await running()).filter((id) => ids.includes(id))) {
    // A worker may have ended since the list was made.
    for (const targetId of left) await session.send('Target.closeTarget', { targetId }).catch(() => {})
  }
  await session.detach()
}
