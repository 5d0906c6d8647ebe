import { startHandler } from './handler.mjs'
import { CLIENT_SECRET, shortName, stepsOf } from './plans.mjs'
import { startVault } from './vault.mjs'

const CLIENT_ID = 'strongroom'

/** Seconds for which the suite waits for a request that a correct client does not send. */
const SILENCE = 3

/** Milliseconds for which a module may take after the client's part. */
const PATIENCE = (SILENCE + 12) * 1000

/**
 * The outcome of a module.
 *
 * @typedef {object} Row
 * @property {import('./plans.mjs').Plan} plan
 * @property {string} module The short name.
 * @property {string} result
 * @property {string} expected
 * @property {string} [reason] Why PASSED is not expected, or why the module was not run.
 * @property {string[]} faults What the suite objects to.
 * @property {string[]} notes What the client did.
 */

/**
 * Runs a plan with its client. Calls `report` with each row.
 *
 * @param {{ plan: import('./plans.mjs').Plan, suite: ReturnType<typeof import('./suite.mjs').connectSuite>, browser:
 * import('playwright-core').Browser, report: (row: Row) => void }} options
 */
export async function runPlan({ plan, suite, browser, report }) {
  const alias = `strongroom-${plan.client}`
  const app = await (plan.client === 'vault' ? startVault({ suite, ...plan }) : startHandler(plan))
  try {
    const { id, modules } = await suite.createPlan({
      ...plan,
      configuration: configuration(plan, app, alias),
    })
    const issuer = `${suite.origin}/test/a/${alias}/`
    for (const module of modules) {
      const name = shortName(module.testModule)
      const reason = plan.left?.[name]
      if (reason)
        report({ plan, module: name, result: 'not run', expected: 'not run', reason, faults: [], notes: [] })
      else report(await runModule({ plan, id, module, issuer, suite, browser, app }))
    }
  } finally {
    await app.close()
  }
}

function configuration(
  { configuration: more, client: kind, https, scope },
  { origin, redirectUri, initiateLoginUri },
  alias,
) {
  return {
    alias,
    description: `strongroom, ${kind}`,
    waitTimeoutSeconds: SILENCE,
    ...more?.suite,
    client: {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      scope,
      redirect_uri: redirectUri,
      post_logout_redirect_uri: `${origin}/`,
      // The logout plan demands one of these addresses, also of a client that it does not notify.
      ...(kind === 'handler'
        ? { backchannel_logout_uri: `${origin}/auth/backchannel-logout` }
        : { frontchannel_logout_uri: `${origin}/` }),
      ...(https && { initiate_login_uri: initiateLoginUri }),
      ...more?.client,
    },
  }
}

async function runModule({ plan, id, module, issuer, suite, browser, app }) {
  const name = shortName(module.testModule)
  const [expected, reason] = plan.expected?.[name] ?? ['PASSED']
  const notes = []
  const note = (line) => notes.push(line.slice(0, 400))
  const steps = stepsOf(module.testModule)
  const row = { plan, module: name, expected, reason, notes }
  // A browser that has seen nothing: no session, no keys of the module before.
  const context = await browser.newContext()
  try {
    const instance = await suite.start(id, module)
    // All logins of a module have one client, as in an app.
    const client = await app.open({
      context,
      issuer,
      clientId: CLIENT_ID,
      client: { id: CLIENT_ID, auth: plan.auth ?? { method: 'client_secret_basic', secret: CLIENT_SECRET } },
      scope: plan.scope ?? 'openid profile email',
      steps,
      note,
      options: plan.options,
      resource: plan.resource,
      idToken: () => suite.idToken(instance),
    })
    const own = await play({ client, steps, startAt: () => suite.visit(instance) })
    const { result, faults } = await suite.finish(instance, PATIENCE)
    return { ...row, result: own.length ? 'FAILED' : result, faults: [...own, ...faults] }
  } catch (error) {
    return { ...row, result: 'ERROR', faults: [error.message] }
  } finally {
    await context.close()
  }
}

/** Plays the user's part. Resolves with what is wrong with the session afterwards, which the suite does not see. */
async function play({ client, steps, startAt }) {
  try {
    for (let login = 0; login < steps.logins; login++) {
      await client.run(steps.elsewhere ? await startAt() : undefined)
    }
    if ((await client.isSignedIn()) === steps.endsSignedIn) return []
    return [steps.endsSignedIn ? 'driver: there is no session' : 'driver: there is still a session']
  } catch (error) {
    return [`driver: ${error.message}`]
  }
}
