// A login by popup does not need `window.opener`, so a Cross-Origin-Opener-Policy breaks only a login with the option
// `detectClose`. If the user closes the popup before it navigates, the login is canceled. With `detectClose`, the login
// is also canceled if the user closes the popup later.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { booted, call, clickLogin, giveConsent, signInByPopup, startApp } from '../support/app.mjs'
import { ALL, leftOut, rows } from '../support/combinations.mjs'
import { listen } from '../support/listen.mjs'
import { VAULT_HOSTS } from '../support/vault_origin.mjs'

const time = { timeout: 60_000 }

/** Milliseconds for which a popup has to look closed before the login is canceled (await-login.ts). */
const CHECKS = 5000

const ISOLATING = { 'Cross-Origin-Opener-Policy': 'same-origin' }

const apps = {}
const KINDS = {
  'a shared worker': {},
  'a dedicated worker': { kind: 'dedicated' },
  'an origin of its own': { vaultOrigin: true },
}

before(async () => {
  for (const [name, options] of Object.entries(KINDS)) apps[name] = await startApp(options)
})
after(() => Promise.all(Object.values(apps).map((app) => app.close())))
afterEach(() => {
  for (const { provider } of Object.values(apps)) {
    provider.settings.headers = {}
    provider.faults.clear()
  }
})

/** Serves the app's pages with additional headers until the returned function is called. */
const serve = ({ site }, headers) => site.override('/index.html', { headers })

/** Opens a page and starts a login by popup with a click. Resolves with the page and the popup. */
async function openPopup(app, options) {
  const page = await app.open()
  await booted(page)
  await page.clock.install()
  // Stores the popup's window object, so that a test can read `popup.closed` in the page.
  await page.evaluate(() => {
    const { open } = window
    window.open = (...args) => (globalThis.popup = open(...args))
  })
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(page, options)])
  return { page, popup }
}

const outcome = (page) => page.evaluate(() => login)
const looksClosed = (page) => page.waitForFunction(() => popup.closed, null, { polling: 20 })

/** Advances the page's clock until the popup has looked closed for long enough. */
const passChecks = async (page) => {
  await looksClosed(page)
  await page.clock.runFor(CHECKS)
}

const SEPARATING = [
  ['both', { ofProvider: ISOLATING, ofApp: ISOLATING }],
  ['the provider', { ofProvider: ISOLATING }],
  ['the app', { ofApp: ISOLATING }],
]

for (const kind of rows(Object.keys(KINDS))) {
  const isThorough = ALL || kind === 'a shared worker'
  for (const [who, headers] of isThorough ? SEPARATING : SEPARATING.slice(0, 1)) {
    // claim: everyday-15
    test(`COOP same-origin of ${who}, a vault in ${kind}: signed in, not canceled`, time, async () => {
      const app = apps[kind]
      app.provider.settings.headers = headers.ofProvider ?? {}
      const release = serve(app, headers.ofApp ?? {})
      try {
        const { page, popup } = await openPopup(app)
        await popup.waitForSelector('#username')
        // Because of the policy, `popup.closed` is now true for the page, although the user is about to sign in.
        await looksClosed(page)
        const closed = popup.waitForEvent('close')
        await giveConsent(popup)
        assert.equal((await outcome(page)).value.claims.sub, 'alice')
        await closed
        assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
      } finally {
        release()
      }
    })
  }

  test(`detectClose, a vault in ${kind}: a popup that the user closes is login_canceled`, time, async () => {
    const { page, popup } = await openPopup(apps[kind], { detectClose: true })
    await popup.waitForSelector('#username')
    await popup.close()
    await passChecks(page)
    assert.equal((await outcome(page)).error.code, 'login_canceled')
  })

  if (!isThorough) continue

  leftOut(
    `detectClose, a vault in ${kind}: a popup that closes after its login is not canceled`,
    time,
    async () => {
      const app = apps[kind]
      const { page, popup } = await openPopup(app, { detectClose: true })
      // The code exchange takes so long that the popup looks closed before it completes.
      let release
      const held = new Promise((resolve) => (release = resolve))
      const exchanging = app.provider.faults.taken()
      app.provider.faults.add('token', { hold: held })
      await giveConsent(popup)
      await exchanging
      if (!popup.isClosed()) await popup.close()
      await passChecks(page)
      release()
      const { value } = await outcome(page)
      assert.equal(value.claims.sub, 'alice')
    },
  )

  leftOut(
    `without detectClose, a vault in ${kind}: a closed popup does not block another login`,
    time,
    async () => {
      const app = apps[kind]
      const { page, popup } = await openPopup(app)
      await popup.waitForSelector('#username')
      await popup.close()
      await looksClosed(page)
      // Another login can start although the first login is still pending.
      const { value } = await signInByPopup(page)
      assert.equal(value.claims.sub, 'alice')
    },
  )

  leftOut(`a vault in ${kind}: a popup closed before it navigates is login_canceled`, time, async () => {
    const app = apps[kind]
    let release
    app.provider.faults.add('discovery', { hold: new Promise((resolve) => (release = resolve)) })
    const { page, popup } = await openPopup(app)
    await popup.close()
    release()
    assert.equal((await outcome(page)).error.code, 'login_canceled')
  })
}

leftOut('detectClose with a separating policy mistakes a login for a closed popup', time, async () => {
  const app = apps['a shared worker']
  app.provider.settings.headers = ISOLATING
  const { page } = await openPopup(app, { detectClose: true })
  await passChecks(page)
  // Because of this error, `detectClose` is not the default.
  assert.equal((await outcome(page)).error.code, 'login_canceled')
})

/** Serves a page with the app in a frame. Resolves with the page, and the frame when it has started. */
async function framed(app, host) {
  const html = `<!doctype html><iframe src="${app.site.origin}/"></iframe>`
  const handler = (_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html)
  const server = await listen({ host, handler })
  const page = await (await app.browser.newContext()).newPage()
  await page.goto(server.origin)
  const frame = page.frames()[1]
  await frame.waitForFunction(() => globalThis.boot)
  await booted(frame)
  return { page, frame, server }
}

leftOut('in a frame of another site, a popup login is refused at once', time, async () => {
  const { page, frame, server } = await framed(apps['a shared worker'], '127.0.0.1')
  await clickLogin(frame)
  const { error } = await frame.evaluate(() => login)
  assert.equal(error.code, 'unsupported')
  assert.match(error.message, /frame of another site.*a tab of its own/)
  assert.equal(page.context().pages().length, 1, 'no window has opened')
  assert.equal(await frame.evaluate(() => document.cookie), '')
  await server.close()
})

leftOut('in a frame of the same site, a popup login works', time, async () => {
  const app = await startApp({ site: { host: VAULT_HOSTS.app } })
  const { page, frame, server } = await framed(app, VAULT_HOSTS.vault)
  const [popup] = await Promise.all([page.waitForEvent('popup'), clickLogin(frame)])
  await giveConsent(popup)
  assert.equal((await frame.evaluate(() => login)).value.claims.sub, 'alice')
  await server.close()
  await app.close()
})

leftOut('app pages with same-origin-allow-popups see a popup close', time, async () => {
  const app = apps['a shared worker']
  const release = serve(app, { 'Cross-Origin-Opener-Policy': 'same-origin-allow-popups' })
  try {
    const { page, popup } = await openPopup(app, { detectClose: true })
    await popup.waitForSelector('#username')
    assert.equal(await page.evaluate(() => popup.closed), false)
    await popup.close()
    await passChecks(page)
    assert.equal((await outcome(page)).error.code, 'login_canceled')
  } finally {
    release()
  }
})
