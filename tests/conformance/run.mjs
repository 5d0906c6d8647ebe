/**
 * Runs the plans for relying parties of a running conformance suite of the OpenID Foundation: the vault in Chromium, and
 * the token handler on Node. Prints a table. Fails if a module does not have the expected result (plans.mjs).
 *
 *   node tests/conformance/run.mjs URL [NAME …] [--document FILE]
 *
 * With names, runs only the plans whose client or title contains one of them, such as `vault` or `logout`. Without, also
 * writes the table to docs/conformance-suite.md, or to another document.
 */
import { parseArgs } from 'node:util'
import { launchBrowser } from '../support/browser.mjs'
import { runPlan } from './driver.mjs'
import { acceptOwnCertificates, browserArguments } from './loopback.mjs'
import { PLANS } from './plans.mjs'
import { connectSuite } from './suite.mjs'
import { modulesTable, plansTable, write } from './table.mjs'

const DOCUMENT = new URL('../../docs/conformance-suite.md', import.meta.url)

const { values, positionals } = parseArgs({
  options: { document: { type: 'string' } },
  allowPositionals: true,
})
const [url, ...names] = positionals
if (!URL.canParse(url)) throw new Error(`'${url}' is not the URL of a suite, such as https://localhost:8443`)
const { origin } = new URL(url)
acceptOwnCertificates()

const suite = connectSuite(origin)
const version = await suite.version()
const rows = await runAll(chosen(names))
const results = { version, date: new Date(), rows }
console.log(`\n${plansTable(results)}\n\n${modulesTable(results)}`)
const document = values.document ?? (names.length ? undefined : DOCUMENT)
if (document) await write(document, results)

const unexpected = rows.filter(({ result, expected }) => result !== expected)
if (unexpected.length) {
  console.error(`\n${unexpected.length} of ${rows.length} modules do not have the expected result:`)
  for (const { plan, module, result, expected } of unexpected) {
    console.error(`  ${plan.client}, ${plan.title}: ${module} is ${result}, not ${expected}`)
  }
  process.exitCode = 1
}

/** Returns the plans whose client or title contains one of these names, or all. */
function chosen(names) {
  const isChosen = ({ client, title }) =>
    names.some((name) => `${client} ${title}`.toLowerCase().includes(name.toLowerCase()))
  const found = names.length ? PLANS.filter(isChosen) : PLANS
  if (found.length) return found
  const all = PLANS.map(({ client, title }) => `${client} ${title}`)
  throw new Error(`no plan is named ${names.join(' or ')}, only ${all.join(', ')}`)
}

async function runAll(plans) {
  const browser = await launchBrowser({ args: browserArguments(origin) })
  const rows = []
  try {
    for (const plan of plans) {
      console.log(`${plan.client}: ${plan.title}`)
      const add = (row) => rows.push(report(row))
      await runPlan({ plan, suite, browser, report: add }).catch(({ message }) =>
        add({
          plan,
          module: 'the whole plan',
          result: 'ERROR',
          expected: 'PASSED',
          faults: [message],
          notes: [],
        }),
      )
    }
  } finally {
    await browser.close()
  }
  return rows
}

/** Prints a row, and what happened if it is not as expected. */
function report(row) {
  const { module, result, expected, reason, faults, notes } = row
  const isExpected = result === expected
  console.log(`  ${isExpected ? '✓' : '✗'} ${module}  ${result}${reason ? `: ${reason}` : ''}`)
  if (!isExpected || process.env.VERBOSE)
    for (const line of [...faults, ...notes]) console.log(`      ${line}`)
  return row
}
