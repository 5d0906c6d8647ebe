/**
 * One way to drive three browser engines: what is said here is what a test may use, and each engine's file
 * does it in its engine's own protocol.
 *
 * @typedef {object} Engine A browser that runs.
 * @property {string} name `chromium`, `firefox` or `webkit`.
 * @property {string} version As it calls itself.
 * @property {() => Promise<Session>} newSession A browser session of its own: cookies, storage, workers.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Session
 * @property {(url: string) => Promise<Tab>} open Opens a tab; resolves when its page has loaded.
 * @property {(begin: () => Promise<unknown>) => Promise<Tab>} openedBy The tab that opens by itself while
 *   `begin` runs, which is what a popup is to a driver.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Tab
 * @property {(script: Function, ...parameters: unknown[]) => Promise<any>} evaluate Runs a function in the page,
 *   which may return a promise. Parameters and result go there and back as JSON.
 * @property {(url: string) => Promise<void>} goto Resolves when the page has loaded, like the next two.
 * @property {() => Promise<void>} reload
 * @property {() => Promise<void>} back
 * @property {() => Promise<string>} url
 * @property {(selector: string) => Promise<void>} click As a user does: the page is activated by it.
 * @property {() => Promise<object[]>} cookies Those of the page's address, with those that no script sees.
 * @property {() => Promise<void>} close
 * @property {Promise<void>} closed
 * @property {string[] | null} console What the page wrote to the console, and errors that nobody caught; `null`
 *   where the protocol does not tell.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a page may take for anything, in milliseconds. */
export const PATIENCE = 20_000

/** Between two looks at what no event tells. */
const PAUSE = 25

/** Looks until there is something to see. */
export async function poll(look, what, patience = PATIENCE) {
  const end = Date.now() + patience
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() > end) throw new Error(`waited ${patience} ms in vain for ${what}`)
    await sleep(PAUSE)
  }
}

/** A function and its parameters as an expression. */
export const expression = (script, parameters) =>
  `(${script})(${parameters.map((parameter) => JSON.stringify(parameter) ?? 'undefined').join(', ')})`

/** Waits until `script` returns something true in the page, whichever page that is by then. */
export function waitFor(tab, script, ...parameters) {
  const look = () => tab.evaluate(script, ...parameters).catch(ignoreNavigation)
  return poll(look, String(script))
}

/** A page that is being left has nothing to say; the next one will. */
export function ignoreNavigation(error) {
  if (/navigat|context|destroyed|no such (frame|window|execution)|left|inactive|load/i.test(error.message))
    return undefined
  throw error
}

const running = new Set()

// Whatever becomes of a test, no browser stays behind.
process.on('exit', () => running.forEach((child) => kill(child, 'SIGKILL')))

/** Starts a program in a process group of its own, so that what it starts ends with it. */
export function start(program, args, options) {
  const child = spawn(program, args, { detached: true, ...options })
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

function kill(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has just ended.
  }
}

/** Ends what `start()` started, and waits until it has ended. */
export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  kill(child, 'SIGTERM')
  const late = sleep(5000, 'late', { ref: false })
  if ((await Promise.race([exited, late])) !== 'late') return
  kill(child, 'SIGKILL')
  await exited
}
