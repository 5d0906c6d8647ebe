/**
 * One test suite for all engines. Each capability is a test, and a row of the table in docs/browsers.md. Each engine
 * has its own test file and its own column of the table, with which its results are compared.
 *
 * @typedef {object} Capability
 * @property {string} name The name of the test and of the row.
 * @property {(scene: Scene) => Promise<string | void>} [see] Throws if the engine lacks the capability. Resolves with the
 *   cell if engines may differ; otherwise the cell is `yes`.
 * @property {Record<string, string>} [not] Reasons by engine why the engine lacks the capability. Its cell is then
 *   `no`.
 * @property {Record<string, string>} [varies] Reasons by engine why the result differs between runs.
 * @property {Record<string, string>} [notAutomated] Reasons by engine why no test can observe the capability. All three
 *   kinds of reasons are listed below the table.
 * @property {number} [timeout] In milliseconds.
 *
 * @typedef {object} Group Capabilities whose tests share an app.
 * @property {Parameters<typeof serveApp>[0]} [app]
 * @property {() => Promise<object>} [serve] Starts another app in place of `serveApp(app)`.
 * @property {(app: object) => unknown} [prepare] Changes the app before anything is opened.
 * @property {Capability[]} capabilities
 *
 * @typedef {object} Scene
 * @property {object} app From `serveApp()`.
 * @property {import('../support/engines/driver.mjs').Engine} engine
 * @property {(path?: string) => Promise<Visit>} visit Opens the app in a browser session of its own, for this test.
 * @property {() => Promise<import('../support/engines/driver.mjs').Tab>} user A page in which a user is signed in. All
 * tests of the group share this page.
 *
 * @typedef {object} Visit
 * @property {import('../support/engines/driver.mjs').Tab} tab A tab in the new browser session.
 * @property {(path?: string) => Promise<import('../support/engines/driver.mjs').Tab>} another Opens another tab
 *   in the same session.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { serveApp } from '../support/app.mjs'
import { signIn } from '../support/engines/app.mjs'
import { ENGINES } from '../support/engines/index.mjs'
import { compareColumn } from './table.mjs'
import { CLAIMED, GROUPS, MAIN, ROWS } from './groups.mjs'

const TIMEOUT = 60_000

/** True in a run of all kinds of tests: only some groups run, and the table is not compared. */
const IS_MAIN = Boolean(process.env.TEST_MAIN)

/** Runs the suite in the engine of this name. */
export function suite(name) {
  const { title, start } = ENGINES[name]
  /** The engine's cells, by the name of the row. */
  const column = new Map()
  let engine

  before(async () => {
    engine = await start()
  })
  after(async () => {
    console.log(`${title} ${engine?.version}`)
    await engine?.close()
  })

  const main = name === 'chromium' ? [...MAIN, ...CLAIMED] : MAIN
  for (const group of IS_MAIN ? main : GROUPS) {
    describe(group.name, () => {
      let app
      let common
      before(async () => {
        app = await (group.serve?.() ?? serveApp(group.app))
        await group.prepare?.(app)
        common = createVisits(engine, app)
      })
      after(async () => {
        await common?.close()
        await app?.close()
      })
      for (const capability of group.capabilities) {
        const exception = exceptionOf(capability, name)
        if (exception) {
          column.set(capability.name, exception)
          continue
        }
        test(capability.name, { timeout: capability.timeout ?? TIMEOUT }, async () => {
          app.api.clear()
          const own = createVisits(engine, app)
          try {
            const cell = await capability.see({ app, engine, visit: own.visit, user: common.user })
            column.set(capability.name, { cell: cell ?? 'yes' })
          } finally {
            await own.close()
          }
        })
      }
    })
  }

  test(`docs/browsers.md says what was seen in ${title}`, { skip: IS_MAIN }, async () => {
    assert.deepEqual([...column.keys()].sort(), [...ROWS].sort(), 'some rows were not observed')
    await compareColumn(title, engine.version, ROWS, column)
  })
}

/**
 * Returns the cell of a capability that is not tested in this engine, and the reason why it is not tested. Returns
 * `undefined` for a capability that is tested.
 */
function exceptionOf({ not, varies, notAutomated }, engine) {
  const cells = Object.entries({ no: not, varies, 'not automated': notAutomated })
  const [cell, reasons] = cells.find(([, by]) => by?.[engine]) ?? []
  return cell && { cell, reason: reasons[engine] }
}

/** Returns functions that open pages in new browser sessions, and a function that closes all these sessions. */
function createVisits(engine, app) {
  const sessions = []
  let user
  const visit = async (path = '/') => {
    const session = await engine.newSession()
    sessions.push(session)
    const another = async (where = '/') =>
      Object.assign(await session.open(app.site.origin + where), { session })
    return { tab: await another(path), another }
  }
  const signedIn = async () => {
    const { tab } = await visit()
    await signIn(tab)
    return tab
  }
  return {
    visit,
    user: () => (user ??= signedIn()),
    close: () => Promise.all(sessions.map((session) => session.close())),
  }
}
