// Tests of `cargo xtask conformance`, with a small stand-in for the suite.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { acceptOwnCertificates, browserArguments } from '../conformance/loopback.mjs'
import { startStandIn } from '../conformance/stand_in.mjs'
import { launchBrowser } from '../support/browser.mjs'
import { ALL } from '../support/combinations.mjs'

const time = { timeout: 60_000 }
const script = fileURLToPath(new URL('../conformance/run.mjs', import.meta.url))

let folder
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-'))
})
after(() => rm(folder, { recursive: true }))

/** Runs the command against a stand-in. Resolves with its exit code and what it printed. */
async function run(options, ...args) {
  const suite = await startStandIn(options)
  try {
    return await new Promise((resolve) =>
      execFile(process.execPath, [script, suite.origin, ...args], (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, text: stdout + stderr }),
      ),
    )
  } finally {
    await suite.close()
  }
}

test('expected results are printed and written', { timeout: 120_000 }, async () => {
  const document = join(folder, 'results.md')
  await writeFile(
    document,
    'before\n<!-- results: written by `cargo xtask conformance` -->\nold\n<!-- end -->\nafter\n',
  )
  const names = ['configuration', 'comprehensive', 'vault refresh', 'handler rp-init', 'back-channel']
  const { code, text } = await run({}, ...names, '--document', document)
  assert.equal(code, 0, text)
  for (const [module, clients] of [
    ['discovery-openid-config', 2],
    ['invalid-iss', 4],
    ['signing-key-rotation', 2],
    ['refresh-token', 1],
    ['rp-init-logout', 1],
    ['rp-backchannel-rpinitlogout', 1],
    ['rp-backchannel-rpinitlogout-wrong-iss', 1],
  ])
    assert.equal(text.match(new RegExp(`^  ✓ ${module}  PASSED$`, 'gm'))?.length, clients, module)
  const written = await readFile(document, 'utf8')
  assert.match(written, /^before\n[^]*<!-- end -->\nafter\n$/)
  assert.doesNotMatch(written, /old/)
  for (const table of [text, written]) {
    assert.match(table, /^\| Suite 0\.0\.0, \d+ \w+ \d{4} \| vault \| token handler \|$/m)
    assert.match(table, /^\| comprehensive client test \| 2 passed, 1 not run \| 2 passed, 1 not run \|$/m)
    assert.match(
      table,
      /^\| `idtoken-sig-none` \| skipped: an ID token without a signature[^|]* \| skipped: /m,
    )
    assert.match(
      table,
      /^\| `userinfo-bearer-body` \| not run: the access token is sent in the header only \| /m,
    )
    assert.doesNotMatch(table, /^\| `(discovery-openid-config|invalid-iss|rp-init-logout)`/m, 'passed')
  }
})

test('a control: an unexpected result fails the command', time, async () => {
  const { code, text } = await run({ honest: true }, 'vault comprehensive')
  assert.equal(code, 1, text)
  assert.match(text, /FAILURE StandIn: the client went on/)
  assert.match(text, /^\| `invalid-iss` \| failed: expected: PASSED \| – \|$/m)
  assert.match(text, /1 of 3 modules do not have the expected result:\n.*invalid-iss is FAILED, not PASSED/)
})

test('a control: a session after a refused login fails the command', time, async () => {
  for (const client of ALL ? ['vault', 'handler'] : ['vault']) {
    const { code, text } = await run({ honest: true, blind: true }, `${client} comprehensive client test`)
    assert.equal(code, 1, text)
    assert.match(text, /invalid-iss {2}FAILED\n *driver: there is still a session/)
  }
})

test('a control: a session that a wrong logout token ends fails the command', time, async () => {
  const { code, text } = await run({ honest: true, blind: true }, 'back-channel')
  assert.equal(code, 1, text)
  assert.match(text, /rpinitlogout-wrong-iss {2}FAILED\n *driver: there is no session/)
  assert.match(text, /✓ rp-backchannel-rpinitlogout {2}PASSED/)
})

test('without a suite the error says so', time, async () => {
  const suite = await startStandIn()
  await suite.close()
  await new Promise((resolve) =>
    execFile(process.execPath, [script, suite.origin], (error, _, stderr) => {
      assert.equal(error?.code, 1)
      assert.match(stderr, new RegExp(`no suite answers at ${suite.origin} \\(ECONNREFUSED\\): start one`))
      resolve()
    }),
  )
})

test('a self-signed certificate is accepted on loopback only', time, async () => {
  acceptOwnCertificates()
  const suite = await startStandIn()
  const { port } = new URL(suite.origin)
  /** Sends a request to the stand-in by one of its names. Resolves with the status, or with the code of the error. */
  const request = (host) =>
    new Promise((resolve) => {
      const lookup = (_, { all }, found) =>
        all ? found(null, [ADDRESS]) : found(null, ADDRESS.address, ADDRESS.family)
      const options = { host, port, path: '/api/server', lookup }
      get(options, (response) => resolve(response.resume().statusCode)).on('error', ({ code }) =>
        resolve(code),
      )
    })
  try {
    assert.equal(await request('localhost'), 200)
    assert.equal(await request('suite.example'), 'DEPTH_ZERO_SELF_SIGNED_CERT')
  } finally {
    await suite.close()
  }
})
const ADDRESS = { address: '127.0.0.1', family: 4 }

test('the browser that accepts such certificates finds no other host', time, async () => {
  const suite = await startStandIn()
  const browser = await launchBrowser({ args: browserArguments(suite.origin) })
  try {
    const page = await browser.newPage()
    assert.equal((await page.goto(`${suite.origin}/api/server`)).status(), 200)
    // Chromium itself resolves this name to the stand-in.
    const other = suite.origin.replace('localhost', 'other.localhost')
    await assert.rejects(page.goto(other), /ERR_NAME_NOT_RESOLVED/)
    assert.deepEqual(browserArguments('https://suite.example'), [])
  } finally {
    await browser.close()
    await suite.close()
  }
})
