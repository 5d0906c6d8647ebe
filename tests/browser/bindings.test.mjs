// Tests of the bindings for React, Vue, Solid and Angular, each in a small app. The tests cover guards, several tabs,
// crashes and server rendering.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createAuth } from '../../pkg/dist/index.js'
import { ACCOUNTS } from '../support/accounts.mjs'
import { giveConsent, htmlWith, startApp } from '../support/app.mjs'
import { ALL, leftOut } from '../support/combinations.mjs'
import { killWorkers } from '../support/device.mjs'
import { bundleApp, importServer } from './bindings/build.mjs'

const time = { timeout: 60_000 }
/**
 * The files of each framework's app. Only some of the apps also render on a server. `scripts` lists the additional
 * sources that the page's `script-src` must allow.
 */
const APPS = {
  react: { file: 'react.js', server: 'react.server.js' },
  vue: { file: 'vue.js', server: 'vue.server.js' },
  // Solid's hydration needs an inline script.
  solid: { file: 'solid.jsx', server: 'solid.server.jsx', scripts: "'unsafe-inline'" },
  // This app is compiled in the browser.
  angular: { file: 'angular.js', scripts: "'unsafe-eval' 'unsafe-inline'" },
}
/** End reasons after which a guard must not start a login by itself. */
const FINAL = ['logged_out', 'idle', 'absolute', 'session_expired', 'security']
const OTHER = [
  'provider_ended',
  'expired',
  'claims_changed',
  'storage_lost',
  'replaced',
  'refresh_expired',
  'revoked',
  'reuse_detected',
  'consent_withdrawn',
  'mfa_required',
]

/** Returns the key of the record of the last session's end, after a visit of the app. */
const keyOfEnd = () => Object.keys(localStorage).find((name) => name.startsWith('strongroom.end '))

/** Records that a session has ended. */
const plant = ([key, reason]) => (localStorage[key] = `${reason} 1`)

let app, policy

before(async () => {
  app = await startApp()
  policy = app.site.pageCsp
  for (const path of ['/orders', '/sign-in', '/callback']) app.site.routes[path] = '/index.html'
})
after(() => app.close())

const trips = () => app.ledger.authorizationRequests().length

/**
 * Returns the page's script. Its variable `active` is the number of subscriptions, `userChanges` the number of reported
 * changes of the user, and `stop` unmounts the app.
 */
const pageScript = (name, start) => `
import '/tools.js'
import * as app from '/${name}.js'
globalThis.apiPort = '${new URL(app.api.url).port}'
globalThis.auth = createAuth({ shared: create.shared }, app.onReturn && { onReturn: app.onReturn })
globalThis.active = 0
globalThis.userChanges = 0
const { subscribe } = auth
auth.subscribe = (listener) => {
  active++
  const stop = subscribe(listener)
  return () => (active--, stop())
}
${start}
`
const MOUNT = `globalThis.stop = await app.mount(auth, document.body, location.pathname !== '/')`

for (const [name, { file, server, scripts = '' }] of Object.entries(APPS)) {
  /**
   * The rules of guards, and the reports of other tabs, are the same for all frameworks, so only `--all` tests them all with each
   * framework. Other runs do so with React.
   */
  const isWhole = ALL || name === 'react'
  const inWhole = { ...time, skip: !isWhole && 'only with --all' }
  /** Opens a page of the app, and collects the messages of its console. */
  const open = async (path = '/orders', context, start = MOUNT) => {
    app.site.pageCsp = policy.replace("script-src 'self'", `script-src 'self' ${scripts}`)
    app.site.files['/page.js'] = pageScript(name, start)
    app.site.files[`/${name}.js`] ??= await bundleApp(file)
    const page = await app.open('/empty', context)
    page.messages = []
    page.on('console', (message) => {
      if (/^(warning|error)$/.test(message.type())) page.messages.push(message.text())
    })
    page.on('pageerror', (error) => page.messages.push(String(error)))
    await page.goto(app.site.origin + path)
    return page
  }
  const shows = (page, id, value) => page.waitForSelector(`#${id}:text-is("${value}")`)
  const signedIn = async () => {
    const page = await open()
    await giveConsent(page)
    await page.waitForSelector('#guarded')
    return page
  }

  // claim: everyday-18
  test(`${name}: guard signs in and shows its part`, time, async () => {
    const before = trips()
    const page = await signedIn()
    await shows(page, 'user', 'alice')
    await shows(page, 'status', 'connected')
    assert.equal(new URL(page.url()).pathname, '/orders')
    assert.equal(trips() - before, 1)
    assert.deepEqual(page.messages, [])
    await page.context().close()
  })

  test(`${name}: guard does not sign in after final end reasons`, inWhole, async () => {
    const visited = await signedIn()
    const key = await visited.evaluate(keyOfEnd)
    await visited.context().close()
    const before = trips()
    const page = await open('/empty')
    for (const reason of FINAL) {
      await page.evaluate(plant, [key, reason])
      await page.goto(`${app.site.origin}/orders`)
      await page.waitForSelector('#fallback')
      await shows(page, 'reason', reason)
    }
    assert.equal(trips(), before)
    await page.context().close()
  })

  test(`${name}: guard signs in once after other end reasons`, inWhole, async () => {
    const page = await signedIn()
    const key = await page.evaluate(keyOfEnd)
    const before = trips()
    for (const reason of OTHER) {
      await page.evaluate(plant, [key, reason])
      await page.evaluate(() => sessionStorage.clear())
      await page.goto(`${app.site.origin}/orders`)
      await page.waitForSelector('#guarded')
    }
    assert.equal(trips(), before)
    await page.context().close()
  })

  // claim: everyday-18
  test(`${name}: logout shows the fallback, and reaches other tabs`, time, async () => {
    const page = await signedIn()
    const other = await open('/orders', page.context())
    await other.waitForSelector('#guarded')
    const before = trips()
    await page.click('#logout')
    for (const tab of [page, other]) {
      await shows(tab, 'user', 'nobody')
      await shows(tab, 'reason', 'logged_out')
    }
    for (const tab of [page, other]) await tab.waitForSelector('#fallback')
    assert.equal(trips(), before)
    await page.context().close()
  })

  leftOut(`${name}: another user is reported in other tabs`, inWhole, async () => {
    const page = await signedIn()
    const other = await open('/orders', page.context())
    await other.waitForSelector('#guarded')
    await page.click('#logout')
    await shows(other, 'user', 'nobody')
    await page.evaluate(() => void auth.login({ prompt: 'login' }))
    await giveConsent(page, ACCOUNTS[0])
    await shows(other, 'user', 'alice')
    // Control experiment: a sign-in of the same user is not a change.
    assert.equal(await other.evaluate(() => userChanges), 0)
    await page.click('#logout')
    await shows(other, 'user', 'nobody')
    await page.evaluate(() => void auth.login({ prompt: 'login' }))
    await giveConsent(page, ACCOUNTS[1])
    await shows(other, 'user', 'bob')
    assert.equal(await other.evaluate(() => userChanges), 1)
    await page.context().close()
  })

  leftOut(`${name}: a tab leaves its sign-in page when another tab signs in`, inWhole, async () => {
    const page = await signedIn()
    const other = await open('/orders', page.context())
    await other.waitForSelector('#guarded')
    await page.click('#logout')
    await other.waitForSelector('#fallback')
    await page.evaluate(() => void auth.login({ prompt: 'login', returnTo: '/orders' }))
    await giveConsent(page)
    await page.waitForSelector('#guarded')
    await other.waitForSelector('#guarded')
    await page.context().close()
  })

  leftOut(`${name}: reconnect() after a failure`, time, async () => {
    const page = await open('/')
    await shows(page, 'status', 'connected')
    // The page may show `connecting` too briefly to be seen, so all states from here on are recorded.
    await page.evaluate(() => {
      globalThis.statuses = []
      auth.subscribe(({ status }) => statuses.push(status))
    })
    await killWorkers(page)
    await page.waitForFunction(() => statuses.includes('connecting') && statuses.at(-1) === 'connected')
    await shows(page, 'status', 'connected')
    await killWorkers(page)
    await shows(page, 'status', 'failed')
    await page.click('#reconnect')
    await shows(page, 'status', 'connected')
    await page.context().close()
  })

  leftOut(`${name}: unmounting ends all subscriptions`, time, async () => {
    const page = await open('/')
    await shows(page, 'status', 'connected')
    assert.ok((await page.evaluate(() => active)) > 0)
    await page.evaluate(() => stop())
    assert.equal(await page.evaluate(() => active), 0)
    assert.deepEqual(page.messages, [])
    await page.context().close()
  })

  if (server) {
    test(`${name}: server's HTML is hydrated without messages`, time, async () => {
      const context = (await signedIn()).context()
      const { render, head = '' } = await importServer(server)
      const html = await render(createAuth({ shared: () => assert.fail('a worker on a server') }))
      assert.match(html, /connecting/)
      assert.match(html, /nobody/)
      const document = htmlWith('/page.js')
      app.site.files['/server.html'] = document
        .replace('</head>', `${head}</head>`)
        .replace('<body></body>', `<body><div id="app">${html}</div></body>`)
      app.site.routes['/orders'] = '/server.html'
      const start = `const root = document.getElementById('app')
        globalThis.kept = document.getElementById('status')
        await app.hydrate(auth, root, true)`
      const page = await open('/orders', context, start)
      await page.waitForSelector('#guarded')
      await shows(page, 'user', 'alice')
      assert.ok(await page.evaluate(() => kept === document.getElementById('status')))
      assert.deepEqual(page.messages, [])
      app.site.routes['/orders'] = '/index.html'
      await page.context().close()
    })
  }
}

// claim: everyday-18
test('angular: requests of HttpClient go through the vault', time, async () => {
  const page = await app.open('/empty')
  await page.goto(`${app.site.origin}/orders`)
  await giveConsent(page)
  await page.waitForSelector('#guarded')
  const { status, error } = await page.evaluate(
    ([orders, missing]) =>
      new Promise((resolve) => {
        const result = {}
        http.get(orders, { observe: 'response' }).subscribe((response) => {
          result.status = response.status
          http.get(missing).subscribe({ error: ({ status }) => resolve({ ...result, error: status }) })
        })
      }),
    [`${app.api.url}orders`, `${app.api.url}status/404`],
  )
  assert.deepEqual([status, error], [200, 404])
  await page.context().close()
})

// The other frameworks' apps connect when a component or a guard uses `auth`.
leftOut('react: a page without hooks finishes a login', time, async () => {
  app.site.files['/react.js'] ??= await bundleApp('react.js')
  app.site.files['/page.js'] = pageScript('react', 'app.mountProvider(auth, document.body)')
  const page = await app.open('/orders')
  await page.evaluate(() => void auth.login())
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.session, null, { polling: 20 })
  // The page learns of the session before it leaves the callback's address.
  await page.waitForURL('**/orders')
  await page.context().close()
})
