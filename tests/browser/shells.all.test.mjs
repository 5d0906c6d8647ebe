// The part of docs/shells.md that needs no shell: loopback.mjs runs in Node as in Electron's main process. A second browser
// context stands for the system's browser, and functions of the test for Electron's messages.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { booted, call, giveConsent, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

let app, listen

before(async () => {
  const guide = await readFile(new URL('../../docs/shells.md', import.meta.url), 'utf8')
  const [, code] = /^```js\n(\/\/ loopback\.mjs.*?)^```$/ms.exec(guide)
  ;({ listen } = await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`))
  app = await startApp({
    config: { customLogin: true, redirectUri: 'http://127.0.0.1/callback' },
    client: { application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'] },
  })
})
after(() => app?.close())

/** Opens the provider's page in the system's browser, and signs the user in. */
async function openExternal(url) {
  const context = await app.browser.newContext()
  const view = await context.newPage()
  await view.goto(url)
  await giveConsent(view)
  await view.getByText('return to the app').waitFor()
  await context.close()
}

/** Opens a page of the app, and signs the user in with the listener. Resolves with the page and the outcome. */
async function signIn(listener, opened) {
  const page = await app.open()
  await page.exposeFunction('openInShell', async (url) => {
    await opened(url)
    return listener.response
  })
  await booted(page)
  const outcome = await page.evaluate(
    (port) => settle(auth.login({ mode: 'custom', port, open: (url) => openInShell(url) })),
    listener.port,
  )
  return { page, ...outcome }
}

test('the response at the port signs the page in', time, async () => {
  const listener = await listen()
  const { page, value } = await signIn(listener, openExternal)
  assert.equal(value.claims.sub, 'alice')
  assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
  listener.close()
})

test('a request of another program fails the login only', time, async () => {
  const listener = await listen()
  const origin = `http://127.0.0.1:${listener.port}`
  const { error } = await signIn(listener, async () => {
    assert.equal((await fetch(`${origin}/other`)).status, 404)
    assert.equal((await fetch(`${origin}/callback?code=c&state=s`)).status, 200)
  })
  // The vault knows no login with this state and port.
  assert.equal(error.code, 'redirect_uri_mismatch')
  listener.close()
})
