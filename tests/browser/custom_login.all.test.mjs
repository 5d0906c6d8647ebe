// A login by `mode: 'custom'`: the app's own code opens the provider's page, as a shell does, and passes the response on.
// A second page in another browser context stands for the view of the shell. The tests of the vault and of the page have
// what is refused, and how such a login ends.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, startApp } from '../support/app.mjs'
import { listen } from '../support/listen.mjs'

const time = { timeout: 60_000 }

const PRIVATE = 'com.example.app:/callback'
const LOOPBACK = 'http://127.0.0.1/callback'

let app

before(async () => {
  app = await startApp({
    config: { customLogin: true, redirectUri: PRIVATE },
    client: { application_type: 'native', redirect_uris: [PRIVATE, LOOPBACK] },
  })
})
after(() => app?.close())

/** Opens a page of the app. Its function `shell` calls `open` of the test. */
async function openApp(open) {
  const page = await app.open()
  await page.exposeFunction('shell', open)
  await booted(page)
  return page
}

/** Begins a login. The page's variables `login` and `giveUp` get its outcome and a function that cancels it. */
const begin = (page, options = {}) =>
  page.evaluate((given) => {
    const controller = new AbortController()
    globalThis.aborted = new Promise((resolve) => (globalThis.noteAbort = resolve))
    globalThis.giveUp = () => controller.abort()
    const open = (url, { signal }) => {
      signal.onabort = () => noteAbort(true)
      return shell(url)
    }
    globalThis.login = settle(auth.login({ mode: 'custom', signal: controller.signal, open, ...given }))
  }, options)

const outcome = (page) => page.evaluate(() => login)

/** Opens a view of the shell at this URL, and lets the user sign in there. Resolves with the redirect to `redirectUri`. */
async function signInInShell(url, redirectUri) {
  const view = await (await app.browser.newContext()).newPage()
  const redirect = new Promise((resolve) =>
    view.on('request', (request) => {
      if (request.url().startsWith(redirectUri)) resolve(request.url())
    }),
  )
  await view.goto(url)
  const [address] = await Promise.all([redirect, giveConsent(view)])
  await view.context().close()
  return address
}

test('a redirect to a private-use scheme signs the page in', time, async () => {
  const seen = []
  const page = await openApp(async (url) => {
    seen.push(url)
    seen.push(await signInInShell(url, PRIVATE))
    return seen.at(-1)
  })
  await begin(page)
  const { value } = await outcome(page)
  assert.equal(value.claims.sub, 'alice')
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  const [url, address] = seen
  assert.ok(url.startsWith(app.provider.issuer))
  assert.ok(address.startsWith(`${PRIVATE}?`))
  const request = app.ledger.tokenRequests().at(-1)
  assert.deepEqual([request.grant, request.outcome], ['authorization_code', 'issued'])
  await page.context().close()
})

test('a redirect to a port of the app signs the page in', time, async () => {
  app.setConfig({ customLogin: true, redirectUri: LOOPBACK })
  let arrived
  const response = new Promise((resolve) => (arrived = resolve))
  const listener = await listen({
    handler(request, reply) {
      if (request.url.startsWith('/callback')) arrived(`${listener.origin}${request.url}`)
      reply.end('You can close this window.')
    },
  })
  try {
    const page = await openApp(async (url) => {
      const view = await (await app.browser.newContext()).newPage()
      await view.goto(url)
      await giveConsent(view)
      const address = await response
      await view.context().close()
      return address
    })
    await begin(page, { port: listener.port })
    const { value } = await outcome(page)
    assert.equal(value.claims.sub, 'alice')
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
    await page.context().close()
  } finally {
    await listener.close()
    app.setConfig({ customLogin: true, redirectUri: PRIVATE })
  }
})
