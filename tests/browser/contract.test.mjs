// One suite of behaviors, through strongroom/testing in Node and through a real vault in Chromium. The test double must
// not differ from the vault.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { testWorld } from '../../pkg/dist/testing.js'
import { ENDING, EXTENDED, SIGNED_IN, SIGNED_OUT, extend } from '../contract/cases.mjs'
import { LIFETIME, settle, testCases, untilOf } from '../contract/double.mjs'
import { giveConsent, htmlWith, startApp } from '../support/app.mjs'
import { leftOut } from '../support/combinations.mjs'
import { killWorkers } from '../support/device.mjs'
import { bundleApp } from './bindings/build.mjs'

const time = { timeout: 60_000 }

describe('strongroom/testing', () => testCases(() => testWorld))

describe('vault in Chromium', () => {
  let app
  let apis
  before(async () => {
    app = await startApp({ provider: { accessTokenSeconds: LIFETIME } })
    apis = [{ url: app.api.url, methods: ['GET', 'HEAD', 'POST'] }]
    app.setConfig({ apis })
    app.site.connectSrc.push(new URL(app.api.url).origin.replace('http', 'ws'))
    app.site.files['/page.js'] = PAGE
    app.api.on('reflect', ({ request, response }) => response.end(request.headers.authorization))
    app.api.on('length', ({ request, response }) => {
      response.setHeader('Content-Length', 5)
      response.end(request.method === 'HEAD' ? undefined : 'hello')
    })
    let late
    app.api.on('late', ({ response }) => {
      late = response
      response.setHeader('Content-Length', 4)
      response.flushHeaders()
    })
    app.api.on('go-on', ({ response }) => {
      late.end('late')
      response.writeHead(204).end()
    })
    app.api.on('broken', ({ request }) => request.socket.destroy())
  })
  after(() => app.close())

  const PAGE = `
import '/tools.js'
globalThis.auth = createAuth({ shared: create.shared })
globalThis.settle = ${settle}
globalThis.until = (${untilOf})(auth)
await auth.connect()
globalThis.isReady = true
`
  const open = async (isSignedIn) => {
    const context = await app.browser.newContext()
    const page = await app.open('/', context)
    await page.exposeFunction('control', (name) => controls[name](page))
    const ready = () => page.waitForFunction(() => globalThis.isReady)
    await ready()
    if (isSignedIn) {
      await page.evaluate(() => void auth.login())
      await giveConsent(page)
      await page.waitForURL((url) => url.origin === app.site.origin)
      // The page has a session before its callback is finished.
      await ready()
    }
    return page
  }
  const controls = {
    expire: () => app.ledger.accessTokenExpired(),
    refreshes: () => app.ledger.refreshes().length,
    down: () => app.provider.faults.add('token', { times: 1000, answer: { status: 503 } }),
    up: () => app.provider.faults.clear(),
    revoke: () => (app.provider.settings.areAccountsBlocked = true),
    crash: (page) => killWorkers(page),
    async signOut(page) {
      const other = await app.open('/', page.context())
      await other.waitForFunction(() => globalThis.isReady)
      await other.evaluate(() => auth.logout())
    },
  }
  const runCase = async (page, { run, expected }) => {
    const outcome = await page.evaluate(
      ([code, api, names]) => {
        const world = Object.fromEntries(names.map((name) => [name, () => control(name)]))
        return (0, eval)(`(${code})`)({ auth, api, settle, until, world })
      },
      [String(run), app.api.url, Object.keys(controls)],
    )
    assert.deepEqual(outcome, expected)
  }

  test('test double runs a guard of React in a page', time, async () => {
    const script = await readFile(new URL('../../pkg/dist/testing.js', import.meta.url))
    app.site.files['/strongroom/testing.js'] = script
    app.site.files['/react.js'] = await bundleApp('react.js')
    app.site.files['/double.js'] = `
import { testWorld } from '/strongroom/testing.js'
import { mount } from '/react.js'
globalThis.world = await testWorld(${JSON.stringify({ ...app.config, redirectUri: '/callback' })})
mount(world.auth, document.body, true)
`
    app.site.files['/double.html'] = htmlWith('/double.js')
    app.site.routes['/double'] = '/double.html'
    app.site.pageCsp = app.site.pageCsp.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    const page = await app.open('/double')
    await page.waitForSelector('#pending')
    await page.waitForFunction(() => world.navigations.length === 1)
    await page.evaluate(() => world.followRedirect())
    await page.waitForSelector('#guarded')
    assert.equal(await page.textContent('#user'), 'alice')
    await page.evaluate(() => world.advance('31m'))
    await page.waitForSelector('#fallback')
    assert.equal(await page.textContent('#reason'), 'idle')
    assert.equal(new URL(page.url()).pathname, '/double')
    await page.context().close()
  })

  for (const [cases, isSignedIn] of [
    [SIGNED_OUT, false],
    [SIGNED_IN, true],
  ]) {
    let opened
    for (const one of cases) {
      // claim: everyday-11
      test(one.name, time, async () => runCase(await (opened ??= open(isSignedIn)), one))
    }
  }
  for (const one of [...ENDING, ...EXTENDED]) {
    leftOut(one.name, time, async () => {
      app.provider.settings.areAccountsBlocked = false
      app.setConfig({ apis, ...(EXTENDED.includes(one) && extend(apis[0])) })
      const page = await open(true)
      await runCase(page, one)
      await page.context().close()
    })
  }
})
