// The playground: the real core reads each configuration in a worker of its own, under the headers of
// docs/deployment.md and without any other origin.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  cloudflareHeaders,
  netlifyHeaders,
  nextHeaders,
  nginxHeaders,
  securityHeaders,
} from '../../pkg/dist/headers.js'
import { readExamples } from '../../www/playground/examples.mjs'
import { shareBrowser } from '../support/browser.mjs'
import { openStatic, startStaticSite } from '../support/static_site.mjs'

const time = { timeout: 60_000 }

const VALID = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  redirectUri: '/callback',
  scope: 'openid profile offline_access',
  apis: [{ url: 'https://api.example.com/v1/', methods: ['GET', 'POST'] }],
}

let site
let shared
let page

before(async () => {
  site = await startStaticSite()
  shared = await shareBrowser()
  page = await openStatic(shared.browser, site, site.playground)
  await verdict()
})
after(async () => {
  await page?.context().close()
  await shared?.close()
  await site?.close()
})

/** Resolves with the core's verdict about the latest configuration, and with the problems that it names. */
async function verdict() {
  await page.waitForSelector('#verdict[aria-busy=false]')
  return {
    verdict: await page.textContent('#verdict .verdict'),
    problems: await page.locator('.problems li').allTextContents(),
  }
}

/** Enters a configuration, and resolves with the verdict about it. */
async function tryOut(configuration) {
  const text = typeof configuration === 'string' ? configuration : JSON.stringify(configuration)
  await page.fill('#configuration', text)
  return verdict()
}

const shown = (id) => page.textContent(`#${id}`)

test('every example starts', time, async () => {
  const names = await page.locator('#example option').allTextContents()
  assert.deepEqual(names, Object.keys(await readExamples()))
  assert.ok(names.length >= 8)
  for (const name of names) {
    await page.selectOption('#example', name)
    assert.equal((await verdict()).verdict, 'The vault starts.', name)
  }
})

test('two mistakes are two messages, without secrets', time, async () => {
  const { verdict, problems } = await tryOut({
    ...VALID,
    issuer: 'id.example.com',
    clientSecret: 'hunter2hunter2',
  })
  assert.equal(verdict, '2 problems: config_invalid')
  assert.deepEqual(problems, [
    'clientSecret: a browser cannot keep a client secret; register a public client',
    'issuer is "id.example.com": it must be the provider\'s issuer identifier, an https URL without query or fragment',
  ])
  assert.doesNotMatch(await shown('verdict'), /hunter2/)
  assert.equal(await page.getAttribute('#configuration', 'aria-invalid'), 'true')
  assert.equal((await tryOut(VALID)).verdict, 'The vault starts.')
  assert.equal(await page.getAttribute('#configuration', 'aria-invalid'), null)
})

test('a misspelled option gets a suggestion, and text that is not JSON its position', time, async () => {
  const { problems } = await tryOut({ ...VALID, session: { idel: 60 } })
  assert.deepEqual(problems, ['session.idel: there is no such option (did you mean idle?)'])
  const { verdict } = await tryOut('{ "issuer": ')
  assert.equal(verdict, '1 problem: not JSON')
})

test('addresses are those of the app, not of this page', time, async () => {
  const elsewhere = { ...VALID, redirectUri: 'https://app.example.com/done' }
  assert.equal((await tryOut(elsewhere)).verdict, 'The vault starts.')
  assert.match(await shown('registration'), /Redirect URIhttps:\/\/app\.example\.com\/done/)
  await page.fill('#origin', 'https://other.example')
  const [problem] = (await verdict()).problems
  assert.match(problem, /redirectUri.*on the origin that serves the worker file/)
  await page.fill('#origin', 'https://app.example.com')
  assert.equal((await verdict()).verdict, 'The vault starts.')
})

test('the worker’s file has the configuration', time, async () => {
  const config = { ...VALID, claims: ["it's", 'a"b'], authorizationParams: { 'a-b': 'c' } }
  await tryOut(config)
  const source = await shown('worker-file')
  assert.match(source, /^import \{ vault \} from 'strongroom\/worker'\n\nvault\(\{\n {2}issuer: 'https:/)
  let read
  new Function('vault', source.slice(source.indexOf('vault({')))((value) => (read = value))
  assert.deepEqual(read, config)
})

const OPTIONS = { origin: 'https://app.example.com', worker: '/auth.worker.js' }

const lines = (headers) =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')

const HEADERS = {
  'Any server': () => {
    const { page, worker } = securityHeaders(VALID, OPTIONS)
    return `# All pages\n${lines(page)}\n# /auth.worker.js\n${lines(worker)}`
  },
  nginx: () => {
    const { http, server } = nginxHeaders(VALID, OPTIONS)
    return `# in the block http\n${http}\n# in the block server\n${server}`
  },
  'Cloudflare Pages': () => cloudflareHeaders(VALID, OPTIONS),
  Netlify: () => netlifyHeaders(VALID, { ...OPTIONS, documents: ['/', '/callback'] }),
  Vercel: () => `${JSON.stringify({ headers: nextHeaders(VALID, OPTIONS) }, null, 2)}\n`,
}

for (const [host, expected] of Object.entries(HEADERS)) {
  test(`the headers for ${host} are those of strongroom/headers`, time, async () => {
    await tryOut(VALID)
    await page.selectOption('#host', host)
    assert.equal(await shown('headers'), expected())
  })
}

test('every host has headers for an app with a callback page', time, async () => {
  await tryOut({ ...VALID, callbackPage: true })
  for (const host of Object.keys(HEADERS)) {
    await page.selectOption('#host', host)
    assert.equal(
      await page.getAttribute('#headers', 'data-failed'),
      null,
      `${host}: ${await shown('headers')}`,
    )
  }
})

test('a configuration without headers gets the reason', time, async () => {
  await page.selectOption('#host', 'Any server')
  await tryOut({ ...VALID, issuer: 'id.example.com' })
  assert.match(await shown('headers'), /^`issuer` is "id.example.com"/)
  assert.equal(await page.getAttribute('#headers', 'data-failed'), '')
})

test('each edit ends the worker of the former, and nothing asks another origin', time, async () => {
  const started = []
  page.on('worker', (worker) => started.push(worker))
  const { problems } = await tryOut({ ...VALID, session: { persist: 'sealed' } })
  assert.deepEqual(problems, [])
  await tryOut({ ...VALID, clientId: '' })
  assert.equal(started.length, 2)
  for (let i = 0; i < 100 && page.workers().length; i++) await page.evaluate(() => 0)
  assert.deepEqual(page.workers(), [])
  assert.deepEqual(page.faults, [])
})
