// createAuth() returns one object per app. The object connects when it is first used, finishes logins, and tells its
// listeners about changes.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ALL, leftOut } from '../support/combinations.mjs'
import { clickLogin, deny, forgedState, giveConsent, startApp } from '../support/app.mjs'
import { killWorkers } from '../support/device.mjs'
import { played, told } from '../support/retries.mjs'

const time = { timeout: 60_000 }
const KINDS = ['shared', 'dedicated', 'vaultOrigin']
const apps = {}

/**
 * Returns the script of the app's page. Its variable `made` is the number of created workers, and `states` lists the
 * states that a listener received. `until()` waits for a state.
 */
const pageWith = (source, script = 'globalThis.stop = auth.subscribe((state) => states.push(state))') => `
import '/tools.js'
globalThis.made = 0
globalThis.states = []
const counted = (kind) => () => (made++, create[kind]())
globalThis.auth = createAuth(${source})
globalThis.until = (isSo) => new Promise((resolve) => {
  const stop = auth.subscribe((state) => isSo(state) && queueMicrotask(() => (stop(), resolve(state))))
})
${script}
`

const sourceOf = {
  shared: () => `{ shared: counted('shared'), dedicated: counted('dedicated') }`,
  dedicated: () => `{ dedicated: counted('dedicated') }`,
  vaultOrigin: ({ vault }) => `{ frame: '${vault.origin}/frame.html' }`,
}

before(async () => {
  const options = { shared: {}, dedicated: { kind: 'dedicated' }, vaultOrigin: { vaultOrigin: true } }
  await Promise.all(KINDS.map(async (kind) => (apps[kind] = await startApp(options[kind]))))
  for (const app of Object.values(apps)) app.site.routes['/orders'] = '/index.html'
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))
afterEach(() => Object.values(apps).forEach((app) => app.provider.faults.clear()))

/** Opens a page. Its script creates the object `auth` and then runs `script`. */
function openApp(kind, script, path = '/orders?a#b') {
  const app = apps[kind]
  app.site.files['/page.js'] = pageWith(sourceOf[kind](app), script)
  return app.open(path)
}

const orders = (kind) => `${apps[kind].api.url}orders`
const trips = (kind) => apps[kind].ledger.authorizationRequests().length
const atApp = (page, kind) => page.waitForURL((url) => url.origin === apps[kind].site.origin)

/** The code of a guard. The page's variable `guarded` gets the guard's result. */
const GUARD = 'globalThis.guarded = settle(auth.requireSession())'

/** Signs in through a guard, which starts a login. */
async function signedIn(kind, script = '') {
  const page = await openApp(kind, `${script}\n${GUARD}`)
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.status === 'connected')
  return page
}

for (const kind of KINDS) {
  test(`guard signs in and returns to its page, ${kind}`, time, async () => {
    const before = trips(kind)
    const page = await signedIn(kind)
    const { value } = await page.evaluate(() => guarded)
    assert.equal(value.claims.sub, 'alice')
    assert.equal(
      await page.evaluate(() => location.pathname + location.search + location.hash),
      '/orders?a#b',
    )
    assert.equal(trips(kind) - before, 1)
    await page.context().close()
  })

  test(`denied login is in the state and not repeated, ${kind}`, time, async () => {
    const before = trips(kind)
    const page = await openApp(kind, GUARD)
    await deny(page)
    await atApp(page, kind)
    assert.deepEqual(await page.evaluate(() => guarded), { value: null })
    const { status, error } = await page.evaluate(() => ({
      ...auth.state,
      error: describe(auth.state.error),
    }))
    assert.equal(status, 'connected')
    assert.equal(error.code, 'login_denied')
    assert.equal(new URL(page.url()).pathname, '/orders')
    assert.equal(trips(kind) - before, 1)
    await page.context().close()
  })

  const usual = { ...time, skip: !ALL && kind !== 'shared' && 'only with --all' }
  leftOut(`call made while a login is being finished succeeds, ${kind}`, usual, async () => {
    const page = await signedIn(
      kind,
      `if (location.pathname === '/callback')
        globalThis.called = settle(auth.fetch('${orders(kind)}').then(({ status }) => status))`,
    )
    assert.deepEqual(await page.evaluate(() => called), { value: 200 })
    await page.context().close()
  })

  leftOut(`login() during a callback does not navigate, ${kind}`, usual, async () => {
    const before = trips(kind)
    const page = await openApp(kind, `globalThis.guarded = settle(auth.login())`)
    await giveConsent(page)
    await atApp(page, kind)
    const { value } = await page.evaluate(() => guarded)
    assert.equal(value.claims.sub, 'alice')
    assert.equal(trips(kind) - before, 1)
    await page.context().close()
  })
}

// claim: script-32
test('guard does not sign in after a logout', time, async () => {
  const page = await signedIn('shared')
  const before = trips('shared')
  await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => auth.state.endReason), 'logged_out')
  assert.deepEqual(await page.evaluate(() => settle(auth.requireSession())), { value: null })
  assert.equal(trips('shared'), before)
  await page.context().close()
})

leftOut('nothing is created before the first use', time, async () => {
  const page = await openApp('shared', '')
  assert.deepEqual(await page.evaluate(() => [made, auth.state.status]), [0, 'connecting'])
  await page.evaluate(async () => Promise.all([auth.connect(), auth.connect()]))
  assert.deepEqual(await page.evaluate(() => [made, auth.state.status]), [1, 'connected'])
  await page.context().close()
})

leftOut('state is one object until something changes', time, async () => {
  const page = await openApp('shared')
  await page.evaluate(() => until(({ status }) => status === 'connected'))
  const seen = await page.evaluate(() => ({
    isSame: auth.state === auth.state && states.at(-1) === auth.state,
    statuses: states.map(({ status }) => status),
  }))
  assert.deepEqual(seen, { isSame: true, statuses: ['connecting', 'connected'] })
  await page.context().close()
})

leftOut('ended subscription receives nothing', time, async () => {
  const page = await signedIn('shared', `globalThis.stop = auth.subscribe((state) => states.push(state))`)
  const before = await page.evaluate(() => (stop(), states.length))
  await page.evaluate(() => auth.logout())
  assert.equal(await page.evaluate(() => states.length), before)
  await page.context().close()
})

leftOut('popup opens in the click’s task', time, async () => {
  const page = await openApp('shared')
  await page.evaluate(() => auth.connect())
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
  await giveConsent(popup)
  const { value } = await page.evaluate(() => login)
  assert.equal(value.claims.sub, 'alice')
  assert.equal(await page.evaluate(() => auth.state.session.claims.sub), 'alice')
  await page.context().close()
})

leftOut('event source created before the connection opens after it', time, async () => {
  apps.shared.api.on('two', ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: one\n\n')
  })
  const page = await signedIn('shared')
  const first = await page.evaluate((url) => {
    const later = createAuth({ shared: create.shared })
    const source = later.eventSource(url)
    return new Promise((resolve) => {
      source.onmessage = ({ data }) => (source.close(), resolve([data, source.readyState]))
    })
  }, `${apps.shared.api.url}on/two`)
  assert.deepEqual(first, ['one', 2])
  await page.context().close()
})

leftOut('socket created before a failed connection reports the error', time, async () => {
  const page = await openApp('shared', '')
  const code = await page.evaluate(() => {
    const broken = createAuth(
      { shared: () => new SharedWorker('/missing.js', { type: 'module' }) },
      { timeout: 1 },
    )
    const socket = broken.webSocket('/live')
    return new Promise((resolve) => (socket.onerror = ({ error }) => resolve(error.code)))
  })
  assert.match(code, /^worker_(failed|timeout)$/)
  await page.context().close()
})

test('vault that crashes is replaced once', time, async () => {
  const page = await signedIn('shared', 'globalThis.stop = auth.subscribe((state) => states.push(state))')
  await killWorkers(page)
  await page.evaluate(() => until(({ status, session }) => status === 'connected' && !session))
  assert.equal(await page.evaluate(() => made), 2)
  // A guard would sign in if it saw a connected state without a session.
  const ends = () => states.filter(({ session }, i) => !session && states[i - 1]?.session)
  assert.deepEqual(
    (await page.evaluate(ends)).map(({ status }) => status),
    ['connecting'],
  )
  await killWorkers(page)
  const { error } = await page.evaluate(async () => {
    const { error } = await until(({ status }) => status === 'failed')
    return { error: describe(error) }
  })
  assert.equal(error.code, 'vault_crashed')
  assert.equal(await page.evaluate(() => made), 2)
  await page.evaluate(() => auth.reconnect())
  assert.deepEqual(await page.evaluate(() => [auth.state.status, auth.state.error, made]), [
    'connected',
    null,
    3,
  ])
  await page.context().close()
})

/** Faults that keep a connection from being made: the error's code, and the message that the page prints. */
const FAULTS = {
  config_invalid: [(app) => app.setConfig({ scope: '' }), /`scope`/],
  worker_failed: [
    (app) => app.site.override('/auth.worker.js', { status: 404, body: 'Not found' }),
    /auth\.worker\.js was not found/,
  ],
  wasm_failed: [
    (app) => app.site.override('/strongroom/strongroom_bg.wasm', { status: 404, body: 'Not found' }),
    /strongroom_bg\.wasm with 404/,
  ],
}

for (const kind of ALL ? ['shared', 'dedicated'] : ['shared']) {
  for (const [code, [spoil, message]] of Object.entries(FAULTS)) {
    const scene = async () => {
      const app = apps[kind]
      const undo = spoil(app)
      const page = await openApp(kind, '')
      const printed = []
      page.on('console', (line) => line.text().startsWith('strongroom: ') && printed.push(line))
      try {
        await page.evaluate(() => void auth.connect().catch(() => {}))
        await page.waitForFunction(() => auth.state.status === 'failed')
      } finally {
        undo?.()
        app.setConfig({})
      }
      assert.equal(told(await page.evaluate(() => auth.state.error.code)), code)
      // A worker's own messages may arrive after the page's.
      await page.evaluate(() => auth.connect().catch(() => {}))
      assert.deepEqual(
        printed.map((line) => [line.type(), line.text().match(/^strongroom: (\w+): /)?.[1]]),
        [['error', code]],
      )
      assert.match(printed[0].text(), message)
      await page.context().close()
    }
    leftOut(`${code} is printed once, ${kind}`, time, played(scene))
  }
}

leftOut('refused redirect URI is printed', time, async () => {
  const app = apps.shared
  app.setConfig({ redirectUri: '/signed-in' })
  const printed = []
  const page = await openApp('shared', '')
  page.on('console', (line) => line.text().startsWith('strongroom: ') && printed.push(line.text()))
  await page.goto(`${app.site.origin}/callback?code=abc&state=${forgedState(app.config)}`)
  await page.evaluate(() => auth.connect())
  app.setConfig({})
  assert.equal(printed.length, 1)
  assert.match(printed[0], /^strongroom: redirect_uri_mismatch: .*\/callback.*\/signed-in/)
  await page.context().close()
})

leftOut('login that fails after a click is printed once, also for guards', time, async () => {
  const app = apps.dedicated
  app.setConfig({ issuer: 'http://127.0.0.1:9' })
  const printed = []
  const page = await openApp('dedicated', '')
  page.on('console', (line) => line.text().startsWith('strongroom: ') && printed.push(line.text()))
  const both = () => Promise.all([auth.requireSession(), auth.requireSession()].map(settle))
  assert.deepEqual(await page.evaluate(both), [{ value: null }, { value: null }])
  const state = await page.evaluate(() => [auth.state.status, auth.state.error.code])
  assert.deepEqual(state, ['connected', 'provider_unavailable'])
  // The failed login is not repeated.
  assert.equal((await page.evaluate(() => settle(auth.requireSession()))).value, null)
  assert.equal(printed.length, 1)
  assert.match(printed[0], /^strongroom: provider_unavailable: /)
  for (const mode of ['redirect', 'popup']) {
    await page.evaluate((mode) => {
      const button = document.createElement('button')
      button.onclick = () => void auth.login({ mode }).catch(() => {})
      document.body.replaceChildren(button)
    }, mode)
    await page.click('button')
    await page.waitForFunction(() => auth.state.error)
  }
  assert.equal(printed.length, 3)
  // What the user cannot help is no news for the developer.
  await page.context().setOffline(true)
  await page.evaluate(() => settle(auth.login()))
  assert.equal(printed.length, 3)
  app.setConfig({})
  await page.context().close()
})

leftOut('guard resolves with null if the connection fails', time, async () => {
  const app = apps.dedicated
  app.setConfig({ nonsense: true })
  const page = await openApp('dedicated', GUARD)
  assert.deepEqual(await page.evaluate(() => guarded), { value: null })
  assert.equal(await page.evaluate(() => auth.state.error.code), 'config_invalid')
  assert.deepEqual(await page.evaluate(() => settle(auth.requireSession())), { value: null })
  app.setConfig({})
  await page.context().close()
})

test('guard does not sign in after a logout and a reload', time, async () => {
  const page = await signedIn('dedicated')
  const before = trips('dedicated')
  await page.evaluate(() => auth.logout())
  await page.reload()
  assert.deepEqual(await page.evaluate(() => guarded), { value: null })
  assert.equal(await page.evaluate(() => auth.state.endReason), 'logged_out')
  assert.equal(trips('dedicated'), before)
  await page.context().close()
})

leftOut('sign-out of another app does not stop the guard', time, async () => {
  const app = apps.dedicated
  const page = await signedIn('dedicated')
  await page.evaluate(() => auth.logout())
  const [own] = await page.evaluate(() =>
    Object.keys(localStorage).filter((key) => /^strongroom.end/.test(key)),
  )
  assert.match(own, /^strongroom\.end \d+$/)
  app.setConfig({ clientId: 'another' })
  const reasons = await page.evaluate(async () => {
    const other = createAuth({ dedicated: create.dedicated })
    await other.connect()
    return [other.state.endReason, auth.state.endReason]
  })
  assert.deepEqual(reasons, [null, 'logged_out'])
  app.setConfig({})
  await page.context().close()
})

leftOut('listener that throws does not stop the others', time, async () => {
  const page = await openApp(
    'shared',
    `let calls = 0
    auth.subscribe(() => { if (calls++) throw Error('a listener') })
    auth.subscribe((state) => states.push(state))`,
  )
  await page.waitForFunction(() => states.at(-1).status === 'connected')
  assert.equal(await page.evaluate(() => auth.state.error), null)
  await page.context().close()
})

leftOut('onReturn that throws does not fail the connection', time, async () => {
  const app = apps.shared
  app.site.files['/page.js'] = pageWith(
    `${sourceOf.shared(app)}, { onReturn: () => { throw Error('a router') } }`,
    GUARD,
  )
  const page = await app.open('/orders')
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.status === 'connected')
  assert.equal(await page.evaluate(() => auth.state.session.claims.sub), 'alice')
  await page.context().close()
})

leftOut('close() at the end of a session closes the connection', time, async () => {
  const page = await signedIn('shared')
  await page.evaluate(() => {
    let hadSession
    auth.subscribe(({ session }) => {
      if (hadSession && !session) auth.close()
      hadSession = session
    })
  })
  await killWorkers(page)
  await page.evaluate(() => until(({ session }) => !session))
  const { error } = await page.evaluate(() => settle(auth.fetch('/')))
  assert.equal(error.code, 'closed')
  await page.context().close()
})

leftOut('options of login() cannot make it another message', time, async () => {
  const page = await signedIn('shared')
  const { error } = await page.evaluate(() =>
    settle(auth.login({ t: 'logout', prompt: 'bogus', mode: 'popup' })),
  )
  assert.equal(error?.code, 'message_invalid')
  assert.equal(await page.evaluate(() => auth.state.session.claims.sub), 'alice')
  await page.context().close()
})

leftOut('route is restored by onReturn', time, async () => {
  const app = apps.shared
  app.site.files['/page.js'] = pageWith(
    `${sourceOf.shared(app)}, { onReturn: (path) => (globalThis.returned = path) }`,
    GUARD,
  )
  const page = await app.open('/orders?a#b')
  await giveConsent(page)
  await page.waitForFunction(() => globalThis.auth?.state.status === 'connected')
  assert.equal(await page.evaluate(() => returned), '/orders?a#b')
  assert.equal(await page.evaluate(() => location.pathname), '/callback')
  await page.context().close()
})

leftOut('server may import and subscribe', async () => {
  const { createAuth } = await import(fileURLToPath(new URL('../../pkg/dist/index.js', import.meta.url)))
  let made = 0
  const auth = createAuth({ shared: () => made++ })
  const states = []
  auth.subscribe((state) => states.push(state))()
  assert.deepEqual([states.length, states[0].status, made], [1, 'connecting', 0])
  await assert.rejects(auth.fetch('/orders'), { code: 'unsupported' })
  assert.equal(made, 0)
})
