/**
 * One interface for three browser engines. Tests use only the members that are described here. Each engine's file
 * implements these members with the engine's own protocol.
 *
 * @typedef {object} Engine A running browser.
 * @property {string} name `chromium`, `firefox` or `webkit`.
 * @property {string} version The version that the browser reports.
 * @property {() => Promise<Session>} newSession A browser session with its own cookies, storage and workers.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Session
 * @property {(url: string) => Promise<Tab>} open Opens a tab; resolves when its page has loaded.
 * @property {(begin: () => Promise<unknown>) => Promise<Tab>} openedBy Resolves with the tab that opens while `begin`
 *   runs, such as a popup.
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Tab
 * @property {(script: Function, ...parameters: unknown[]) => Promise<any>} evaluate Runs a function in the page, which
 *   may return a promise. Parameters and result are converted to JSON and back.
 * @property {(url: string) => Promise<void>} goto Resolves when the page has loaded, as `reload` and `back` do.
 * @property {() => Promise<void>} reload
 * @property {() => Promise<void>} back
 * @property {() => Promise<string>} url
 * @property {(selector: string) => Promise<void>} hover Moves the mouse to an element.
 * @property {(selector: string) => Promise<void>} click Clicks like a user, so that the page has user activation.
 * @property {() => Promise<object[]>} cookies Cookies for the page's URL, including HttpOnly ones.
 * @property {() => Promise<void>} close
 * @property {Promise<void>} closed
 * @property {string[] | null} console The page's console messages and uncaught errors; `null` if the protocol does not
 *   report them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** Longest time for any action of a page, in milliseconds. */
export const PATIENCE = 20_000

/** The interval in milliseconds between two calls of a polled function. */
const PAUSE = 25

/**
 * Calls `look` until it resolves with a truthy value, and resolves with this value. Rejects after `patience`
 * milliseconds.
 */
export async function poll(look, what, patience = PATIENCE) {
  const end = Date.now() + patience
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (Date.now() > end) throw new Error(`waited ${patience} ms in vain for ${what}`)
    await sleep(PAUSE)
  }
}

/** Returns a JavaScript expression that calls the function with these parameters. */
export const expression = (script, parameters) =>
  `(${script})(${parameters.map((parameter) => JSON.stringify(parameter) ?? 'undefined').join(', ')})`

/** Waits until `script` returns a truthy value in the page, and resolves with it. The page may navigate meanwhile. */
export function waitFor(tab, script, ...parameters) {
  const look = () => tab.evaluate(script, ...parameters).catch(ignoreNavigation)
  return poll(look, String(script))
}

/** Ignores the error of a page that the browser is leaving. Other errors are thrown again. */
export function ignoreNavigation(error) {
  if (/navigat|context|destroyed|no such (frame|window|execution)|left|inactive|load/i.test(error.message))
    return undefined
  throw error
}

const running = new Set()

// All browsers end with the test's process, even if the test fails.
process.on('exit', () => running.forEach((child) => kill(child, 'SIGKILL')))

/** Starts a program in its own process group, so that its children end with it. */
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
    // The process has already ended.
  }
}

/** Ends a program that `start()` started, and waits for its end. */
export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  kill(child, 'SIGTERM')
  const late = sleep(5000, 'late', { ref: false })
  if ((await Promise.race([exited, late])) !== 'late') return
  kill(child, 'SIGKILL')
  await exited
}
