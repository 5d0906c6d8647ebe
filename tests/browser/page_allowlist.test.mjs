// The option `exits` of `strongroom/headers`: under the `Connection-Allowlist` of its pages, an app signs in and out by each
// way in Chromium. exits.test.mjs has what the list stops.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { securityHeaders, vaultOriginHeaders } from '../../pkg/dist/headers.js'
import { booted, call, signIn, signInByPopup, startApp } from '../support/app.mjs'
import { untilErrorPage } from '../support/until.mjs'

const time = { timeout: 60_000 }
const NAME = 'Connection-Allowlist'
const WORKER = '/auth.worker.js'

const CONFIG = {
  issuer: 'https://id.example.com',
  clientId: 'spa',
  redirectUri: '/callback',
  par: false,
  apis: [{ url: 'https://api.example.com/v1/' }],
}
const METADATA = { authorization_endpoint: 'https://id.example.com/authorize' }
const OPTIONS = { origin: 'https://app.example.com', worker: WORKER, metadata: METADATA, exits: {} }

const generate = (config = {}, options = {}) =>
  securityHeaders({ ...CONFIG, ...config }, { ...OPTIONS, ...options })

/** Returns the list of the pages for these changes of the configuration and the options. */
const listOf = (config, options) => generate(config, options).page[NAME]

const LOGIN =
  '"https://id.example.com/authorize?response_type=code&client_id=spa&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&*"'
const PUSHED = '"https://id.example.com/authorize?client_id=spa&request_uri=urn%3A*"'

test('the headers are those of the guide', async () => {
  const guide = await readFile(new URL('../../docs/exits.md', import.meta.url), 'utf8')
  const [, block] = /```http exits\n([^]*?)\n```/.exec(guide)
  const { page } = generate({}, { exits: { links: ['https://help.example.com/*', 'mailto:*'] } })
  const names = [NAME, 'Cross-Origin-Opener-Policy']
  assert.equal(names.map((name) => `${name}: ${page[name]}`).join('\n'), block)
})

test('the list has the authorization requests of this client only', () => {
  assert.equal(listOf(), `(response-origin ${LOGIN});redirects=allow`)
  assert.equal(listOf({ par: true }), `(response-origin ${PUSHED});redirects=allow`)
  // The provider's metadata may name an endpoint for pushed requests when the vault runs.
  assert.equal(listOf({ par: undefined }), `(response-origin ${LOGIN} ${PUSHED});redirects=allow`)
})

test('the list needs no option with pinned metadata', () => {
  const pinned = {
    at: '2026-01-31',
    issuer: CONFIG.issuer,
    token_endpoint: 'https://id.example.com/t',
    jwks_uri: 'https://id.example.com/k',
    ...METADATA,
  }
  const metadata = undefined
  assert.equal(listOf({ pinned }, { metadata }), `(response-origin ${LOGIN});redirects=allow`)
  assert.throws(() => listOf({}, { metadata }), { code: 'config_invalid', message: /strongroom metadata/ })
})

test('parameters are written as the vault writes them', () => {
  const metadata = { authorization_endpoint: 'https://id.example.com/a:b?p=x' }
  const clientId = 'a b*(c)'
  const expected = String.raw`"https://id.example.com/a\\:b?p=x&client_id=a%20b\\*%28c%29&request_uri=urn%3A*"`
  assert.equal(listOf({ par: true, clientId }, { metadata }), `(response-origin ${expected});redirects=allow`)
})

test('the list has this client’s logout at the provider', () => {
  const end_session_endpoint = 'https://id.example.com/logout'
  const list = listOf({}, { metadata: { ...METADATA, end_session_endpoint } })
  for (const end of ['', '&*'])
    assert.ok(list.includes(`"${end_session_endpoint}?client_id=spa${end}"`), list)
})

test('the list has the hosts that the page’s policy names', () => {
  const page = {
    'img-src': ['https://cdn.example.com/img/', 'https://*.example.org', "'self'", 'blob:'],
    'connect-src': ['wss://live.example.com', 'https://app.example.com'],
    'frame-src': ['vault.example.com:8443'],
    'report-uri': ['/reports', 'https://reports.example.com/add?key=1'],
    'trusted-types': ['auth-worker'],
  }
  const hosts = [
    'https://cdn.example.com/img/*',
    'https://*.example.org',
    'https://live.example.com',
    'https://vault.example.com:8443',
    'https://reports.example.com/add?key=1',
  ]
  assert.equal(
    listOf({}, { page }),
    `(response-origin ${LOGIN} ${hosts.map((one) => `"${one}"`).join(' ')});redirects=allow`,
  )
})

test('a hidden frame of the provider does not open its other addresses', () => {
  const page = { 'frame-src': ['https://id.example.com'] }
  assert.equal(listOf({}, { page }), listOf())
})

test('links are addresses in which only * has a meaning', () => {
  const links = [
    'https://help.example.com/*',
    'https://*.example.org/a:b?c=(d)',
    'https://a.example.com/*?x',
    'mailto:*',
  ]
  const patterns = String.raw`"https://help.example.com/*" "https://*.example.org/a\\:b?c=\\(d\\)" "https://a.example.com/*\\?x" "mailto:*"`
  assert.equal(
    listOf({}, { exits: { links, webrtc: true } }),
    `(response-origin ${LOGIN} ${patterns});redirects=allow;webrtc=allow`,
  )
})

const REFUSED_LINKS = [
  'https://*',
  'https://*.com/',
  'https:*',
  'data:*',
  'javascript:*',
  'https://*:*@help.example.com/',
  'http://help.example.com/',
  '/help',
  'https://a.example.com/é',
]

test('config_invalid: what no list can name', () => {
  const cases = [
    [{}, { metadata: {} }, /metadata.authorization_endpoint/],
    [{ clientId: undefined }, {}, /clientId/],
    [{ redirectUri: undefined }, {}, /redirectUri/],
    [{}, { page: { 'img-src': ['https:'] } }, /img-src.*https:/],
    [{}, { page: { 'connect-src': ['*'] } }, /connect-src/],
    [{}, { exits: { links: 'https://help.example.com/*' } }, /exits.links/],
    [{}, { exits: { link: [] } }, /no option `link`/],
    ...REFUSED_LINKS.map((link) => [{}, { exits: { links: [link] } }, /exits.links\[0\]/]),
  ]
  for (const [config, options, message] of cases) {
    assert.throws(() => generate(config, options), { code: 'config_invalid', message }, String(message))
  }
})

test('without the option, pages have no list', () => {
  assert.equal(listOf({}, { exits: undefined }), undefined)
  assert.equal(generate().page['Cross-Origin-Opener-Policy'], 'same-origin')
})

test('callback page has the list of the pages, because the app may start in its document', () => {
  assert.equal(generate({ callbackPage: true }).callback[NAME], listOf())
})

test('pages of a vault’s own origin reach that origin, and the callback page the apps', () => {
  const origin = 'https://vault.example.com'
  const apps = ['https://app.example.com', 'https://admin.example.com']
  const listsOf = (module) => {
    const { frame, callback } = vaultOriginHeaders(CONFIG, { origin, worker: WORKER, apps, module })
    return [frame[NAME], callback[NAME]]
  }
  const ofCallback = '(response-origin "https://app.example.com" "https://admin.example.com");redirects=allow'
  assert.deepEqual(listsOf(), ['(response-origin);redirects=allow', ofCallback])
  // The hint of a first visit connects to the provider and the API.
  const [hinting] = listsOf('/assets/strongroom_bg-BqTr3x9P.wasm')
  assert.equal(
    hinting,
    '(response-origin "https://id.example.com/" "https://api.example.com/");redirects=allow',
  )
})

const KINDS = ['a shared worker', 'a dedicated worker', 'an origin of its own']
const apps = {}
before(async () => {
  const options = { provider: { accessTokenSeconds: 3600 }, config: { scope: 'openid profile orders' } }
  apps['a shared worker'] = await startApp(options)
  apps['a dedicated worker'] = await startApp({ ...options, kind: 'dedicated' })
  apps['an origin of its own'] = await startApp({ ...options, vaultOrigin: true })
  // The provider is on the same site as the app, so browsers send its cookies also in frames.
  const provider = { ...options.provider, host: 'localhost' }
  apps['a hidden frame'] = await startApp({ ...options, kind: 'dedicated', resume: 'iframe', provider })
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))

/** Serves the app's pages, and the worker's file, with their lists. Returns a function that ends this. */
async function sendLists(app, changed = {}) {
  const { site, vault, provider } = app
  const metadata = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json()
  const config = { ...app.config, redirectUri: `${(vault ?? site).origin}/callback`, ...changed }
  const frame = vault?.origin ?? (app === apps['a hidden frame'] && provider.issuer)
  const page = frame ? { 'frame-src': [frame] } : {}
  const options = { origin: site.origin, worker: WORKER, metadata, exits: {}, page }
  const headers = securityHeaders(config, options)
  const pick = ({ [NAME]: list, 'Cross-Origin-Opener-Policy': opener }) => ({
    [NAME]: list,
    ...(opener && { 'Cross-Origin-Opener-Policy': opener }),
  })
  const undo = [
    site.override('/index.html', { headers: pick(headers.page) }),
    site.override('/empty.html', { headers: pick(headers.page) }),
  ]
  if (vault) {
    const own = vaultOriginHeaders(config, { ...options, origin: vault.origin, apps: [site.origin] })
    undo.push(
      vault.override('/frame.html', { headers: { [NAME]: own.frame[NAME] } }),
      vault.override('/callback.html', { headers: pick(own.callback) }),
      vault.override(WORKER, { headers: { [NAME]: own.worker[NAME] } }),
    )
  } else undo.push(site.override(WORKER, { headers: { [NAME]: headers.worker[NAME] } }))
  return () => undo.forEach((one) => one())
}

for (const name of KINDS) {
  test(`${name}: login by redirect, calls, single sign-on, and a logout at the provider`, time, async () => {
    const app = apps[name]
    const undo = await sendLists(app)
    const page = await app.open()
    assert.equal((await signIn(page)).error, undefined)
    assert.equal((await call(page, `${app.api.url}me`)).value?.status, 200)
    await page.evaluate(() => auth.logout())
    // The provider has a session of the user, and redirects back at once.
    await page.goto(app.site.origin)
    await booted(page)
    await page.evaluate(() => void auth.login().catch(() => {}))
    await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
    assert.equal((await booted(page)).error, undefined)
    await page.evaluate(() => void auth.logout({ provider: true }))
    await page.waitForURL(`${app.provider.issuer}/**`)
    await page.context().close()
    undo()
  })

  test(`${name}: login by popup`, time, async () => {
    const app = apps[name]
    const undo = await sendLists(app)
    const page = await app.open()
    const outcome = await signInByPopup(page)
    assert.equal(outcome.value?.claims.sub, 'alice', JSON.stringify(outcome))
    await page.context().close()
    undo()
  })

  test(`${name}: a pushed request`, time, async () => {
    const app = apps[name]
    app.setConfig({ par: true })
    const undo = await sendLists(app, { par: true })
    const page = await app.open()
    assert.equal((await signIn(page)).error, undefined)
    await page.context().close()
    undo()
    app.setConfig({})
  })
}

test('a hidden frame resumes a session', time, async () => {
  const app = apps['a hidden frame']
  app.site.pageCsp += `; frame-src 'self' ${app.provider.issuer}`
  const undo = await sendLists(app)
  const page = await app.open()
  await signIn(page)
  await page.goto('about:blank')
  await page.goto(app.site.origin)
  await booted(page)
  assert.equal(await page.evaluate(() => auth.resumed), 'iframe')
  await page.context().close()
  undo()
})

// claim: script-39
test('the control: script cannot navigate the page to another address of the provider', time, async () => {
  const app = apps['a shared worker']
  const undo = await sendLists(app)
  const page = await app.open()
  await booted(page)
  await page.evaluate((url) => void (location.href = url), `${app.provider.issuer}/auth?client_id=attacker`)
  await untilErrorPage(page)
  await page.context().close()
  undo()
})
