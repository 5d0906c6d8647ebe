import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test as run } from 'node:test'
import { ACCOUNTS } from '../../support/accounts.mjs'
import { booted, call, clickLogin, giveConsent } from '../../support/app.mjs'
import { ALL, WHOLE } from '../../support/combinations.mjs'
import { startBound } from '../../support/edge/bound.mjs'
import { startPage } from '../../support/edge/page.mjs'

const time = { timeout: 60_000 }

/** Matches the tests of the usual run: the main behaviors, those whose requests the platform itself treats, and claims. */
const USUAL =
  /^(login returns|reload keeps|popup login signs|logout reaches|logout that is sent|calls work|request bodies|response is streamed|error codes|event source|socket|cookie is|form of another)/

/**
 * Tests `connect('/auth')` in a real browser. A page has the same interface as with a vault.
 *
 * @param {Parameters<typeof startPage>[0]} platform
 * @param {{ coordinator: string, hasSockets?: boolean }} options `hasSockets`: true if the platform can forward sockets.
 */
export function pageSuite(platform, options) {
  suite(platform, options)
  if (!ALL) return
  // The handlers bind sessions if the browser supports it, which needs https.
  suite(platform, { ...options, secure: true })
  suite(platform, { ...options, secure: true, start: startBound })
}

function suite(platform, { coordinator, hasSockets = false, secure = false, start = startPage }) {
  const test = (name, options, act) => {
    if (WHOLE || USUAL.test(name)) run(name, options, act)
  }
  const name = secure ? '__Host-strongroom' : 'strongroom'
  const way = start === startBound ? ', bound' : secure ? ', by https' : ''
  describe(`${platform}: a page over the token handler${way}`, { timeout: 600_000 }, () => {
    let app, api, ledger
    before(async () => {
      app = await start(platform, {
        coordinator,
        secure,
        provider: { accessTokenSeconds: 600 },
        route: { stepUp: true },
      })
      ;({ api, ledger } = app)
    })
    after(() => app?.close())

    const session = (page) => page.evaluate(() => auth.session)
    /** Opens a page and signs in. */
    const signedIn = async (path = '/') => {
      const page = await app.open(path)
      await app.signIn(page)
      return page
    }
    const secondTab = async (page) => {
      const tab = await app.open('/', page.context())
      await booted(tab)
      return tab
    }
    /** Waits until the access token has expired for the provider and the page. */
    const expired = async (page) => {
      await ledger.accessTokenExpired()
      await page.waitForFunction(() => auth.session.accessTokenExpiresAt < Date.now())
    }
    /** Lets the first logout of a page get 502 after `act`. The array gets the header of each attempt. */
    const holdLogout = async (page, act) => {
      const sent = []
      await page.route('**/auth/logout*', async (route) => {
        const { length } = sent
        sent.push(route.request().headers()['x-strongroom'])
        if (length) return route.continue()
        await act()
        await route.fulfill({ status: 502, contentType: 'text/html', body: '<!doctype html>' })
      })
      return sent
    }
    const over = (page) => page.waitForFunction(() => auth.session === null)
    const codeOf = async (page, url, init) => (await call(page, url, init)).error?.code

    // Sessions.

    test('calls without a session are refused', time, async () => {
      const page = await app.open()
      assert.deepEqual(await booted(page), { value: null })
      const state = await page.evaluate(() => [auth.session, auth.endReason, auth.resumed])
      assert.deepEqual(state, [null, null, null])
      for (const method of ['GET', 'HEAD']) {
        const { error } = await call(page, `${api.url}me`, { method })
        assert.deepEqual([error?.code, error?.isStrongroomError], ['login_required', true], method)
      }
    })

    test('login returns to the same page', time, async () => {
      const page = await app.open('/orders?a=1#b')
      await app.signIn(page)
      assert.equal(page.url(), `${app.site.origin}/orders?a=1#b`)
      const { claims, scopes, state } = await session(page)
      assert.equal(claims.sub, 'alice')
      assert.equal(claims.name, 'Alice Liddell')
      assert.deepEqual(scopes, ['openid', 'profile', 'email', 'offline_access', 'orders'])
      assert.equal(state, 'active')
      assert.equal(await page.evaluate(() => auth.resumed), 'cookie')
    })

    test('page with a long address can sign in', time, async () => {
      for (const [query, kept] of [
        ['q'.repeat(1500), `?${'q'.repeat(1500)}`],
        ['q'.repeat(6000), ''],
      ]) {
        const page = await app.open('/orders')
        await page.evaluate((query) => history.replaceState(null, '', `/orders?${query}`), query)
        await app.signIn(page)
        assert.equal(page.url(), `${app.site.origin}/orders${kept}`)
        await page.context().close()
      }
    })

    test('event call tells monitoring of each call', time, async () => {
      const page = await signedIn()
      await page.evaluate(() => {
        globalThis.calls = []
        auth.on('call', ({ url, method, status }) => calls.push(`${method} ${url} ${status}`))
      })
      assert.equal((await call(page, `${api.url}me?secret=1`)).value.status, 200)
      await page.evaluate(() => auth.logout())
      assert.equal(await codeOf(page, `${api.url}me`, { method: 'POST' }), 'login_required')
      assert.deepEqual(await page.evaluate(() => calls), [`GET ${api.url}me 200`, `POST ${api.url}me 0`])
    })

    test('proxy that strips a part of the path is named', time, async () => {
      const page = await app.open()
      await page.route('**/shop/auth/**', async (route) => {
        const url = route.request().url().replace('/shop', '')
        await route.fulfill({ response: await route.fetch({ url }) })
      })
      const { error } = await page.evaluate(() => settle(connect('/shop/auth')))
      assert.equal(error.code, 'handler_unreachable')
      assert.match(error.message, /from \/shop\/auth to \/auth/)
    })

    test('reload keeps the session without provider requests', time, async () => {
      const page = await signedIn()
      const before = ledger.tokenRequests().length
      await page.reload()
      await booted(page)
      assert.equal((await session(page)).claims.sub, 'alice')
      assert.equal(ledger.tokenRequests().length, before)
    })

    test('second tab has the session', time, async () => {
      const page = await signedIn()
      const logins = ledger.authorizationRequests().length
      const tab = await secondTab(page)
      assert.equal((await session(tab)).claims.sub, 'alice')
      assert.equal(ledger.authorizationRequests().length, logins)
    })

    test('popup login signs in all tabs and closes', time, async () => {
      const page = await app.open()
      await booted(page)
      const tab = await secondTab(page)
      const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
      const closed = once(popup, 'close')
      await giveConsent(popup)
      const { value } = await page.evaluate(() => login)
      assert.equal(value.claims.sub, 'alice')
      await closed
      await tab.waitForFunction(() => auth.session?.claims.sub === 'alice')
    })

    test('login of a user who is signed in resolves without the provider', time, async () => {
      const page = await signedIn()
      const popups = []
      page.on('popup', (popup) => popups.push(popup))
      const logins = ledger.authorizationRequests().length
      const login = () => page.evaluate(() => settle(auth.login()))
      assert.deepEqual((await login()).value, await session(page))
      await clickLogin(page)
      assert.deepEqual((await page.evaluate(() => globalThis.login)).value, await session(page))
      assert.equal(popups.length, 0)
      assert.equal(ledger.authorizationRequests().length, logins)
      // The session has ended without the page's knowledge, so the handler does not confirm it.
      await page.context().clearCookies()
      assert.equal((await session(page)).claims.sub, 'alice')
      const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
      await giveConsent(popup)
      assert.equal((await page.evaluate(() => globalThis.login)).value.claims.sub, 'alice')
      assert.equal(ledger.authorizationRequests().length, logins + 1)
    })

    test('popup login works despite Cross-Origin-Opener-Policy', time, async () => {
      app.provider.settings.headers = { 'Cross-Origin-Opener-Policy': 'same-origin' }
      try {
        const page = await app.open()
        await booted(page)
        const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
        await giveConsent(popup)
        const { value } = await page.evaluate(() => login)
        assert.equal(value.claims.sub, 'alice')
      } finally {
        app.provider.settings.headers = {}
      }
    })

    test('popup login whose session has ended at once rejects', time, async () => {
      const page = await app.open()
      await booted(page)
      const body = { session: null, reason: 'provider_ended' }
      const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page)])
      await page.route('**/auth/session', (route) => route.fulfill({ json: body }))
      await giveConsent(popup)
      const { error } = await page.evaluate(() => login)
      assert.equal(error.code, 'session_ended')
      assert.match(error.message, /^the login has worked, but its session has ended at once/)
    })

    test('aborted login rejects', time, async () => {
      const page = await app.open()
      await booted(page)
      await page.evaluate(() => (globalThis.giving = new AbortController()))
      await page.evaluate(() => {
        document.body.innerHTML = '<button>Sign in</button>'
        document.querySelector('button').onclick = () =>
          (globalThis.login = settle(auth.login({ mode: 'popup', signal: giving.signal })))
      })
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')])
      await popup.waitForSelector('form')
      await page.evaluate(() => giving.abort())
      const { error } = await page.evaluate(() => login)
      assert.equal(error.code, 'login_canceled')
      // While the popup shows the provider, the page cannot close it, so the user must close it.
      await popup.close()
    })

    test('unsupported options are refused by name', time, async () => {
      const page = await app.open()
      await booted(page)
      const login = async (options) =>
        (await page.evaluate((given) => settle(auth.login(given)), options)).error.code
      assert.equal(await login({ mode: 'device' }), 'unsupported')
      assert.equal(await login({ mode: 'custom' }), 'unsupported')
      assert.equal(await login({ scope: 'more' }), 'unsupported')
      assert.equal(await login({ hint: 'alice' }), 'message_invalid')
      const misspelled = await page.evaluate(async () => [
        await settle(auth.login({ login_hint: 'alice' })),
        await settle(auth.logout({ return_to: '/' })),
        await settle(connect('/auth', { timeOut: 5 })),
        await settle((async () => auth.on('changed', () => {}))()),
      ])
      for (const [i, meant] of ['`loginHint`', '`returnTo`', '`timeout`', 'change,'].entries()) {
        const { code, message } = misspelled[i].error
        assert.equal(code, 'message_invalid')
        assert.ok(message.includes(meant), message)
      }
      for (const refused of await page.evaluate(() =>
        Promise.all([settle(auth.inspect()), settle(auth.download('/api/orders'))]),
      ))
        assert.equal(refused.error.code, 'unsupported')
      assert.equal(await page.evaluate(() => auth.media()), false)
      const connects = (...given) =>
        page.evaluate(async (all) => (await settle(connect(...all))).error?.code, given)
      assert.equal(await connects('/auth', { resume: 'redirect' }), 'unsupported')
      assert.equal(await connects('https://elsewhere.example/auth'), 'unsupported')
      assert.equal(await connects('/nothing'), 'handler_unreachable')
    })

    test('logout reaches other tabs with its reason', time, async () => {
      const page = await signedIn()
      const tab = await secondTab(page)
      const family = ledger.families()
      await page.evaluate(() => auth.logout())
      await over(tab)
      for (const each of [page, tab]) {
        assert.equal(await each.evaluate(() => auth.endReason), 'logged_out')
        assert.equal(await codeOf(each, `${api.url}me`), 'login_required')
      }
      assert.ok(ledger.familyRevoked(family))
    })

    for (const provider of [false, true])
      test(`logout${provider ? ' at the provider' : ''} that meets a 502 is sent again`, time, async () => {
        const page = await signedIn()
        const family = ledger.families()
        const sent = await holdLogout(page, async () => {})
        if (provider) {
          await page.evaluate(() => void auth.logout({ provider: true }))
          await page.click('button[value=yes]')
          await page.waitForURL(`${app.site.origin}/`)
          await booted(page)
        } else {
          assert.deepEqual(await page.evaluate(() => auth.logout()), { revoked: true })
          assert.equal(await page.evaluate(() => auth.endReason), 'logged_out')
        }
        assert.equal(sent.length, 2)
        assert.ok(ledger.familyRevoked(family))
        assert.equal(await codeOf(page, `${api.url}me`), 'login_required')
      })

    // claim: handler-20
    test('logout that is sent again spares a user who has signed in meanwhile', time, async () => {
      const page = await signedIn()
      const tab = await secondTab(page)
      const sent = await holdLogout(page, () => app.signIn(tab, { prompt: 'login' }, ACCOUNTS[1]))
      assert.deepEqual(await page.evaluate(() => auth.logout()), { revoked: false })
      assert.equal(sent.length, 2)
      for (const each of [page, tab]) {
        await each.waitForFunction(() => auth.session?.claims.sub === 'bob')
        assert.equal((await call(each, `${api.url}me`)).value.status, 200)
      }
      // A logout for this session ends it.
      assert.deepEqual(await page.evaluate(() => auth.logout()), { revoked: true })
      assert.equal(await codeOf(tab, `${api.url}me`), 'login_required')
    })

    test('late response does not revive a logged-out session', time, async () => {
      const page = await signedIn()
      let respond, resolve
      const held = new Promise((done) => (resolve = done))
      await page.route(
        '**/auth/session',
        async (route) => {
          const response = await route.fetch()
          respond = () => route.fulfill({ response })
          resolve()
        },
        { times: 1 },
      )
      const responded = page.waitForResponse('**/auth/session')
      // This is the message that a popup posts when its login is complete.
      await page.evaluate(() => new BroadcastChannel('strongroom /auth').postMessage(0))
      await held
      await page.evaluate(() => auth.logout())
      await respond()
      await (await responded).finished()
      // When this call fails, the page has already handled the earlier response.
      assert.equal(await codeOf(page, `${api.url}me`), 'login_required')
      const [current, all] = await page.evaluate(() => [auth.session, changes])
      assert.equal(current, null)
      assert.equal(all.filter(({ session }) => session).length, 0)
    })

    test('provider logout redirects and returns', time, async () => {
      const page = await signedIn()
      await page.evaluate(() => void auth.logout({ provider: true }))
      await page.waitForURL((url) => url.origin === app.provider.origin)
      await page.click('button[value=yes], button[name=logout]')
      await page.waitForURL(`${app.site.origin}/`)
      await booted(page)
      assert.equal(await session(page), null)
    })

    test('next call notices an ended session', time, async () => {
      const page = await signedIn()
      await page.context().clearCookies({ name })
      assert.equal(await codeOf(page, `${api.url}me`), 'login_required')
      const [current, reason, changes] = await page.evaluate(() => [auth.session, auth.endReason, changes])
      assert.equal(current, null)
      assert.equal(reason, 'storage_lost')
      assert.equal(changes.at(-1).reason, 'storage_lost')
    })

    // Calls.

    test('calls work by API URL and by route path', time, async () => {
      const page = await signedIn()
      for (const url of [`${api.url}me?x=%20y`, '/api/me?x=%20y']) {
        api.clear()
        const [status, body, address] = await page.evaluate(async (to) => {
          const response = await auth.fetch(to)
          return [response.status, await response.json(), response.url]
        }, url)
        assert.equal(status, 200)
        assert.equal(body.sub, 'alice')
        assert.equal(address, new URL(url, app.site.origin).href)
        const [{ headers, path, claims }] = api.requests
        assert.equal(path, '/v1/me?x=%20y')
        assert.equal(claims.sub, 'alice')
        assert.equal(headers.cookie, undefined)
        assert.equal(headers['x-strongroom'], undefined)
      }
    })

    test('request bodies arrive unchanged', time, async () => {
      const page = await signedIn()
      for (const url of [`${api.url}upload`, '/api/upload']) {
        const uploaded = await page.evaluate(async (to) => {
          const form = new FormData()
          form.append('tag', 'urgent')
          form.append('tag', 'fragile')
          form.append('photo', new File([new Uint8Array(70_000)], 'crate.raw', { type: 'image/x-raw' }))
          const bodies = [form, 'text', new Blob(['<p>'], { type: 'text/html' }), new Uint8Array([0, 1, 2])]
          const send = async (body) => (await auth.fetch(to, { method: 'POST', body })).json()
          const request = new Request(to, { method: 'PUT', body: new URLSearchParams({ a: 'b c' }) })
          return [...(await Promise.all(bodies.map(send))), await (await auth.fetch(request)).json()]
        }, url)
        const [form, text, blob, bytes, search] = uploaded
        assert.deepEqual(form.fields, [
          { name: 'tag', value: 'urgent' },
          { name: 'tag', value: 'fragile' },
          { name: 'photo', file: 'crate.raw', type: 'image/x-raw', size: 70_000 },
        ])
        assert.deepEqual([text.type, text.size], ['text/plain;charset=UTF-8', 4])
        assert.deepEqual([blob.type, blob.size], ['text/html', 3])
        assert.deepEqual([bytes.type, bytes.size], [null, 3])
        assert.deepEqual(search.fields, [{ name: 'a', value: 'b c' }])
      }
    })

    test('response is streamed and can be aborted', time, async () => {
      const page = await signedIn()
      const [first, name] = await page.evaluate(async (url) => {
        const stop = new AbortController()
        const response = await auth.fetch(url, { signal: stop.signal })
        const reader = response.body.getReader()
        const { value } = await reader.read()
        stop.abort()
        const error = await reader.read().catch((error) => error)
        return [new TextDecoder().decode(value), error.name]
      }, `${api.url}stream?n=100&interval=200`)
      assert.match(first, /^line 1 of 100/)
      assert.equal(name, 'AbortError')
      await api.requests.at(-1).closed
      assert.equal(api.requests.at(-1).aborted, true)
    })

    test('progress is reported in both directions', time, async () => {
      const page = await signedIn()
      const told = await page.evaluate(async (api) => {
        const seen = []
        const onProgress = (progress) => seen.push(progress)
        const response = await auth.fetch(`${api}echo`, { method: 'POST', body: 'hello', onProgress })
        await response.arrayBuffer()
        const bytes = await auth.fetch(`${api}bytes?size=300000`, { onProgress })
        await bytes.arrayBuffer()
        return [seen[0], seen.at(-1), bytes.url]
      }, api.url)
      const [up, down, url] = told
      assert.deepEqual(up, { type: 'upload', loaded: 5, total: 5 })
      assert.deepEqual([down.type, down.loaded], ['download', 300_000])
      assert.equal(url, `${api.url}bytes?size=300000`)
    })

    test('20 calls of two tabs share one refresh', time, async () => {
      app.provider.settings.accessTokenSeconds = 5
      const page = await signedIn()
      const tab = await secondTab(page)
      await expired(page)
      app.provider.settings.accessTokenSeconds = 600
      const before = await session(page)
      const count = ledger.refreshes().length
      const many = (each) =>
        each.evaluate(async (url) => {
          const calls = Array.from({ length: 10 }, (_, n) => auth.fetch(`${url}me?n=${n}`))
          return (await Promise.all(calls)).map(({ status }) => status)
        }, api.url)
      const statuses = (await Promise.all([page, tab].map(many))).flat()
      assert.deepEqual(statuses, Array(20).fill(200))
      const refreshes = ledger.refreshes().slice(count)
      assert.deepEqual(
        refreshes.map(({ outcome }) => outcome),
        ['issued'],
      )
      await page.waitForFunction(
        (then) => auth.session.accessTokenExpiresAt > then,
        before.accessTokenExpiresAt,
      )
    })

    test('session continues after provider interaction', time, async () => {
      app.provider.settings.accessTokenSeconds = 5
      const page = await signedIn()
      app.provider.settings.accessTokenSeconds = 600
      await expired(page)
      const answer = { status: 400, body: { error: 'interaction_required' } }
      app.provider.faults.add('token', { answer })
      assert.equal(await codeOf(page, `${api.url}me`), 'interaction_required')
      assert.equal((await session(page)).state, 'interaction_required')
      // A new tab shows the same state of the session.
      const tab = await secondTab(page)
      const { claims, state } = await session(tab)
      assert.deepEqual([claims.sub, state], ['alice', 'interaction_required'])
      await app.signIn(tab)
      assert.equal((await session(tab)).state, 'active')
      await page.waitForFunction(() => auth.session.state === 'active')
    })

    // claim: handler-33
    test('error codes match those of the vault', time, async () => {
      const page = await signedIn()
      assert.equal(await codeOf(page, 'https://attacker.example/'), 'url_not_allowed')
      assert.equal(await codeOf(page, new URL('/v2/me', api.url).href), 'url_not_allowed')
      assert.equal(await codeOf(page, `${api.url}me`, { method: 'DELETE' }), 'method_not_allowed')
      assert.equal(await codeOf(page, `${api.url}redirect`), 'redirect_blocked')
      assert.equal(await codeOf(page, `${api.url}me`, { mode: 'no-cors' }), 'unsupported')
      api.on('mirror-head', ({ response, entry }) => {
        response.setHeader('X-Mirror', entry.authorization).end()
      })
      assert.equal(await codeOf(page, `${api.url}on/mirror-head`), 'token_reflected')
      api.on('reason', ({ response, entry }) => response.writeHead(200, `for ${entry.authorization}`).end())
      assert.equal(await codeOf(page, `${api.url}on/reason`), 'token_reflected')
      api.on('mirror', ({ response, entry }) => response.end(entry.authorization))
      assert.equal(await codeOf(page, `${api.url}on/mirror`), 'token_reflected')
      api.on('stream', ({ response, entry }) => {
        response.write('your token: ')
        response.end(entry.authorization)
      })
      // The handler has already sent the response's head, so it can only cut off the body. Only some platforms report
      // this to the page.
      const { value } = await call(page, `${api.url}on/stream`)
      assert.doesNotMatch(value?.text ?? '', /eyJ/)
      // An error status of the API is a response, and not an exception.
      const rejected = await call(page, `${api.url}reject`)
      assert.equal(rejected.value.status, 401)
    })

    test('network errors are TypeErrors and aborts keep their reason', time, async () => {
      const page = await signedIn()
      api.on('cut', ({ response }) => response.destroy())
      const cut = await call(page, `${api.url}on/cut`)
      assert.equal(cut.error.isTypeError, true, JSON.stringify(cut))
      api.on('cut-short', ({ response }) => {
        response.writeHead(200, { 'Content-Length': 100 })
        response.write('less than that', () => response.destroy())
      })
      const short = await call(page, `${api.url}on/cut-short`)
      assert.equal(short.error.isTypeError, true, JSON.stringify(short))
      const aborted = await page.evaluate(
        (url) => settle(auth.fetch(url, { signal: AbortSignal.abort(new RangeError('enough')) })),
        `${api.url}me`,
      )
      assert.equal(aborted.error.name, 'RangeError')
      await page.context().setOffline(true)
      const offline = await call(page, `${api.url}me`)
      assert.equal(offline.error.isTypeError, true)
      assert.equal((await session(page)).claims.sub, 'alice')
    })

    test('step-up login repeats the call', time, async () => {
      const page = await signedIn()
      let wants = true
      api.on('careful', ({ response, claims }) => {
        if (!wants) return response.end(claims.sub)
        response.setHeader('WWW-Authenticate', 'Bearer error="insufficient_user_authentication", max_age="0"')
        response.writeHead(401).end()
      })
      const code = await page.evaluate(async (url) => {
        const error = await auth.fetch(url).catch((error) => error)
        document.body.innerHTML = '<button>Go on</button>'
        document.querySelector('button').onclick = () =>
          (globalThis.again = settle(error.stepUp().then((response) => response.text())))
        return [error.code, error.login]
      }, `${api.url}on/careful`)
      assert.deepEqual(code, ['step_up_required', { maxAge: 0 }])
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')])
      wants = false
      await giveConsent(popup)
      assert.deepEqual(await page.evaluate(() => again), { value: 'alice' })
    })

    test('event source ends with the session', time, async () => {
      const page = await signedIn()
      api.on('news', ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('id: 7\ndata: hello\n\n')
      })
      const heard = await page.evaluate(
        (url) =>
          new Promise((resolve) => {
            globalThis.source = auth.eventSource(url)
            source.onmessage = ({ data, lastEventId }) => resolve([data, lastEventId])
          }),
        `${api.url}on/news`,
      )
      assert.deepEqual(heard, ['hello', '7'])
      const failed = page.evaluate(
        () => new Promise((resolve) => (source.onerror = ({ error }) => resolve(describe(error)))),
      )
      await page.evaluate(() => auth.logout())
      assert.equal((await failed).code, 'login_required')
      assert.equal(await page.evaluate(() => source.readyState), 2)
    })

    test('socket works and closes with the session', { ...time, skip: !hasSockets }, async () => {
      const page = await signedIn()
      const heard = await page.evaluate(
        (url) =>
          new Promise((resolve, reject) => {
            globalThis.socket = auth.webSocket(url)
            socket.onopen = () => socket.send('hello')
            socket.onmessage = ({ data }) => resolve(data)
            socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`))
          }),
        `${api.url.replace('http', 'ws')}live/header`,
      )
      assert.equal(heard, 'hello')
      const { claims, closed } = api.sockets.at(-1)
      assert.equal(claims.sub, 'alice')
      await page.evaluate(() => auth.logout())
      assert.deepEqual(await closed, { code: 3000, reason: 'logged_out' })
    })

    test('closed client rejects pending calls', time, async () => {
      const page = await signedIn()
      const outcome = await page.evaluate(async (url) => {
        const slow = settle(auth.fetch(url))
        auth.close()
        return [(await slow).error?.code, (await settle(auth.fetch(url))).error?.code, auth.session]
      }, `${api.url}slow?ms=20000`)
      assert.deepEqual(outcome, ['closed', 'closed', null])
    })

    // The browser.

    test('navigation without a session leads to the login', time, async () => {
      const page = await app.open('/empty')
      await page.goto(`${app.site.origin}/api/me`)
      assert.equal(new URL(page.url()).origin, app.provider.origin)
    })

    test('cookie is HttpOnly and host-only in the browser', time, async () => {
      const page = await signedIn()
      assert.equal(await page.evaluate(() => document.cookie), '')
      const cookies = await page.context().cookies(app.site.origin)
      assert.ok(cookies.some((cookie) => cookie.name === name))
      // Over http, which is allowed only on loopback, a cookie has neither the prefix `__Host-` nor `Secure`.
      for (const { name: own, httpOnly, sameSite, path, secure: isSecure } of cookies) {
        assert.ok(own.startsWith(name), own)
        const attributes = { httpOnly, sameSite, path, secure: isSecure }
        assert.deepEqual(attributes, { httpOnly: true, sameSite: 'Lax', path: '/', secure }, own)
      }
    })

    for (const [what, path] of Object.entries({
      'cannot log out': '/auth/logout',
      'cannot call a route': '/api/orders',
    })) {
      test(`form of another origin ${what}`, time, async () => {
        const page = await signedIn()
        const tab = await page.context().newPage()
        // Another port is another origin but the same site, so the browser sends the cookie with this form.
        const body = `<form method="post" enctype="text/plain" action="${app.site.origin}${path}"><input name='{"item":"' value='","quantity":1}'><button>Win</button></form>`
        const other = `http${secure ? 's' : ''}://localhost:9/`
        await tab.route(other, (route) => route.fulfill({ contentType: 'text/html', body }))
        await tab.goto(other)
        api.clear()
        const [response] = await Promise.all([
          tab.waitForResponse(`${app.site.origin}${path}`),
          tab.click('button'),
        ])
        assert.equal(response.status(), 403)
        assert.match(
          (await response.request().allHeaders()).cookie ?? '',
          /strongroom=/,
          'the browser did not send the cookie',
        )
        assert.equal(api.requests.length, 0)
        // Control: the app's own script can send this request.
        const status = await page.evaluate(
          async (to) =>
            (
              await fetch(to, {
                method: 'POST',
                headers: { 'x-strongroom': '1' },
                body: '{"item":"a","quantity":1}',
              })
            ).status,
          path,
        )
        assert.ok(status < 300, `${status}`)
      })
    }
  })
}
