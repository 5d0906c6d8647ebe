/**
 * Measures what a page of a signed-in user waits for after the first visit, and for how long the page cannot respond to
 * the user.
 */
import { startChromium } from './chromium.mjs'
import { CONTENDERS, LINKS, startSlowSite } from './slow-site.mjs'
import { spread } from './stats.mjs'
import { milliseconds, short, table } from './table.mjs'

const ROUNDS = 3
const COLUMNS = [Object.keys(CONTENDERS)[0], 'auth0', 'oidc-client-ts']
const [LINK] = Object.keys(LINKS)
const AT_ONCE = 50
const CALLS = 400
/** Lifetimes of access tokens in seconds. The short one is long enough for a login. */
const SHORT_LIVED = 4
const LONG_LIVED = 900
/** The time in milliseconds that the provider takes for a refresh, so that a second tab can open in the meantime. */
const REFRESH = 500
/** Before each round, the search for long tasks must find a task of this many milliseconds. */
const BUSY = 12
/** The longest task of strongroom that is allowed, in milliseconds. */
const AIM = 10

const NOTES = [
  `On a link of ${LINK}: the median of the rounds, the lowest and the highest. Each session is stored. A reload is that of the only tab: in Chromium the worker survives it with \`extendedLifetime: true\`. The calls have different addresses, so each needs a preflight.`,
  `The second tab opens while the provider, which takes ${REFRESH} ms, responds to the refresh of the first. The refresh token rotates, and its reuse ends the session.`,
  `The longest task is that of the page's main thread, from the evaluation of the page's script on, with the time that a processor worked on it: on a busy machine tasks take longer. Aim for strongroom: at most ${AIM} ms.`,
]

export async function measureLater(progress, { rounds = ROUNDS, ...options } = {}) {
  progress('builds')
  const site = await startSlowSite(LINKS[LINK], { contenders: COLUMNS })
  const seen = Object.fromEntries(COLUMNS.map((contender) => [contender, []]))
  let version
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const contender of COLUMNS) {
        progress(`${CONTENDERS[contender].name}, round ${round} of ${rounds}`)
        const chromium = await startChromium()
        version = chromium.version
        try {
          await site.settle(chromium)
          await control(site, chromium, contender)
          seen[contender].push(await measureOnce(site, chromium, contender))
        } finally {
          await chromium.close()
        }
      }
    }
  } finally {
    await site.close()
  }
  const head = ['', ...COLUMNS.map((contender) => CONTENDERS[contender].name)]
  return { body: [table(head, rowsOf(seen), options), ...NOTES].join('\n\n'), version }
}

/** Throws if the search for long tasks does not find one, or finds one that is not there. */
async function control(site, chromium, contender) {
  for (const busy of [0, BUSY]) {
    const { took } = await longestTask(site, chromium, contender, { what: 'busy', busy })
    if (took < busy || (!busy && took >= BUSY)) throw new Error(`a task of ${busy} ms is found as ${took} ms`)
  }
}

/** Resolves with the longest task of a visit. */
async function longestTask(site, chromium, contender, parameters) {
  const stop = await chromium.traceTasks()
  await site.visit(chromium, contender, parameters)
  return stop()
}

async function measureOnce(site, chromium, contender) {
  const visit = (parameters) => site.visit(chromium, contender, parameters)
  const task = (parameters) => longestTask(site, chromium, contender, { marks: 1, ...parameters })
  const found = {}
  await visit({ what: 'ready' })
  found.login = await task({ what: 'ready' })
  await signInAndExpire(site, chromium, contender)
  Object.assign(found, await secondTab(site, chromium, contender))
  await signInAndExpire(site, chromium, contender)
  found.refresh = await task({ what: 'call' })
  found.calls = await task({ what: 'calls', calls: CALLS, atOnce: AT_ONCE })
  found.burst = await visit({ what: 'calls', calls: AT_ONCE, atOnce: AT_ONCE })
  found.ended = await visit({ what: 'reload' })
  // No other visit may follow, because a worker that survives its page refuses pages with other options.
  found.reload = await visit({ what: 'reload', survives: 1 })
  return found
}

/** Signs in, and resolves when the access token has expired. The next one is valid for long. */
async function signInAndExpire(site, chromium, contender) {
  const { settings, ledger } = site.provider
  settings.accessTokenSeconds = SHORT_LIVED
  await site.signIn(chromium, contender)
  await ledger.accessTokenExpired()
  settings.accessTokenSeconds = LONG_LIVED
}

/** Opens a tab while another one refreshes. */
async function secondTab(site, chromium, contender) {
  const { ledger } = site.provider
  const { faults } = site.proxy
  const before = ledger.refreshes().length
  const begun = faults.taken()
  faults.add('token', { when: 'after', delay: REFRESH })
  const call = () => site.open(chromium, contender, { what: 'call' })
  const first = call().catch((error) => ({ error }))
  await begun
  const second = await call().catch((error) => ({ error }))
  const tabs = [await first, second]
  for (const { close } of tabs) await close?.()
  return {
    second: second.value,
    refreshes: ledger.refreshes().length - before,
    faults: tabs.flatMap(({ error }) => (error ? [error.message.split('\n')[0]] : [])),
  }
}

function rowsOf(seen) {
  const own = ({ page }) => page === 'strongroom'
  const row = (what, cell, applies = () => true) => [
    what,
    ...COLUMNS.map((name) => (applies(CONTENDERS[name]) ? cell(seen[name], CONTENDERS[name]) : '')),
  ]
  const over = (key) => (rounds) => milliseconds(spread(rounds.map((round) => round[key])))
  const longest = (key) => (rounds, contender) => {
    const [took, processor] = ['took', 'processor'].map((time) =>
      spread(rounds.map((round) => round[key][time])),
    )
    const verdict = own(contender) ? (took.median <= AIM ? ' ✓' : ' ✗') : ''
    return `${milliseconds(took)}${verdict}, processor ${short(processor.median)} ms`
  }
  const second = (rounds) => {
    const faults = rounds.flatMap((round) => round.faults)
    return faults.length
      ? `${faults.length} of ${2 * rounds.length} tabs fail: ${faults[0]}`
      : over('second')(rounds)
  }
  return [
    row('reload, until the first response', over('reload')),
    row('the same, without the running worker', over('ended'), own),
    row(`${AT_ONCE} calls at once, until the last response`, over('burst')),
    row('second tab during a refresh, until its first response', second),
    row('the same: refreshes', (rounds) => rounds.map(({ refreshes }) => refreshes).join(', ')),
    row('longest task, login', longest('login')),
    row('longest task, refresh', longest('refresh')),
    row(`longest task, ${CALLS} calls, ${AT_ONCE} at once`, longest('calls')),
  ]
}
