// The demo without servers: the real worker and core, with a provider and an API in the worker, under the headers of
// docs/deployment.md and without any other origin.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { shareBrowser } from '../support/browser.mjs'
import { openStatic, startStaticSite } from '../support/static_site.mjs'
import { buildStatic, headersFile, headersOf } from '../../www/static/build.mjs'
import { clickCall, connected, search, signInAtComparison } from '../../www/drive.mjs'

const time = { timeout: 60_000 }

let site
let shared

before(async () => {
  site = await startStaticSite()
  shared = await shareBrowser()
})
after(async () => {
  await shared?.close()
  await site?.close()
})

async function open(run) {
  const page = await openStatic(shared.browser, site, site.demo)
  try {
    await connected(page)
    await run(page)
    assert.deepEqual(page.faults, [])
  } finally {
    await page.context().close()
  }
}

async function signIn(page) {
  await page.click('#login')
  await page.click('#approve')
  await page.waitForSelector('body[data-state=signed-in]')
}

const session = (page) => page.evaluate(() => auth.session)

/** Waits until the access token has expired. */
const expired = (page) => page.waitForFunction(() => auth.session.accessTokenExpiresAt < Date.now())

const generation = async (page) => {
  const holdings = await page.evaluate(() => auth.inspect())
  return holdings.find(({ kind }) => kind === 'refresh_token').generation
}

test('a user signs in, calls the API offline, and the refresh token rotates', time, () =>
  open(async (page) => {
    assert.equal(await session(page), null)
    await signIn(page)
    const { claims, scopes } = await session(page)
    assert.equal(claims.name, 'Alice Liddell')
    assert.deepEqual(scopes, ['openid', 'profile', 'email', 'offline_access', 'orders'])
    assert.equal(page.url(), site.demo)
    await page.context().setOffline(true)
    for (const [call, status] of Object.entries({ orders: 200, order: 201, upload: 200, stream: 200 })) {
      assert.match(await clickCall(page, call), new RegExp(`^${status}`), call)
    }
    const before = await generation(page)
    await expired(page)
    assert.match(await clickCall(page, 'many'), /^20 × 200/)
    assert.equal(await generation(page), before + 1)
    assert.match(await clickCall(page, 'rejected'), /^200/)
    assert.equal(await generation(page), before + 2)
    assert.equal(await clickCall(page, 'outside'), 'refused')
    await page.click('[data-call=slow]')
    await page.click('#cancel')
    assert.equal(await page.textContent('#result-status'), 'canceled')
  }),
)

test('the search finds nothing in the page, and the token of the comparison', time, () =>
  open(async (page) => {
    await signIn(page)
    await clickCall(page, 'orders')
    const planted = await search(page, { planted: true })
    assert.match(planted.verdict, /^Found all/)
    const frame = await signInAtComparison(page)
    await frame.click('#call')
    assert.match(await frame.textContent('#result .pill'), /200/)
    const { verdict, found } = await search(page, { planted: false })
    assert.equal(verdict, 'No token in this page.', found.join('\n'))
    await frame.waitForSelector('.verdict')
    assert.match(await frame.textContent('#verdict'), /^1 token.*at localStorage\.access_token$/)
    assert.equal(await frame.evaluate(() => self.origin), 'null')
  }),
)

test('the comparison shows its heading after a call', time, () =>
  open(async (page) => {
    const frame = await signInAtComparison(page)
    await frame.waitForFunction(() => innerHeight === document.body.offsetHeight)
    // A browser reports a new height a moment after script can read it.
    await frame.evaluate(() => addEventListener('resize', () => (self.reported = innerHeight)))
    // As if the frame's content had become longer a moment before the frame.
    await page.evaluate(() => (document.querySelector('#comparison').style.height = '60px'))
    await frame.waitForFunction(() => self.reported === 60)
    await frame.evaluate(() => scrollTo(0, 80))
    assert.ok((await frame.evaluate(() => scrollY)) > 0, 'control')
    await frame.click('#call')
    await frame.waitForFunction(() => innerHeight >= document.documentElement.scrollHeight)
    await frame.waitForFunction(() => scrollY === 0)
  }),
)

test('a popup signs in, a user may refuse, and a logout at the provider leads back', time, () =>
  open(async (page) => {
    await page.click('#login')
    await page.click('#deny')
    await connected(page).then(assert.fail, ({ message }) => assert.match(message, /login_denied/))
    assert.equal(page.url(), site.demo)
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#login-popup')])
    await popup.click('#approve')
    await page.waitForSelector('body[data-state=signed-in]')
    await page.evaluate(() => (globalThis.isOld = true))
    await page.click('#logout-provider')
    await page.waitForFunction(() => !globalThis.isOld && document.body?.dataset.state === 'signed-out')
    assert.equal(page.url(), site.demo)
    assert.equal(await session(page), null)
  }),
)

test('its provider checks PKCE, redeems a code once, and revokes a family', time, () =>
  open(async (page) => {
    const frame = await (await page.$('#comparison')).contentFrame()
    await frame.waitForSelector('#login')
    // The frame has a provider of its own, whose endpoints script can try.
    const results = await frame.evaluate(async (home) => {
      const base64url = (bytes) =>
        btoa(String.fromCharCode(...new Uint8Array(bytes)))
          .replaceAll('+', '-')
          .replaceAll('/', '_')
          .replaceAll('=', '')
      const bytes = (text) => new TextEncoder().encode(text)
      const challenge = base64url(await crypto.subtle.digest('SHA-256', bytes('verifier')))
      const common = { clientId: 'strongroom-demo', redirectUri: home, scope: 'openid offline_access' }
      const code = (id) => {
        const at = Math.floor(Date.now() / 1000)
        return base64url(bytes(JSON.stringify({ ...common, id, challenge, nonce: null, sub: 'alice', at })))
      }
      const request = async (endpoint, form) => {
        const body = new URLSearchParams({ client_id: common.clientId, ...form })
        const response = await fetch(`${home}provider/${endpoint}`, { method: 'POST', body })
        return { status: response.status, ...(await response.json().catch(() => ({}))) }
      }
      const redeem = (id, code_verifier, more) =>
        request('token', {
          grant_type: 'authorization_code',
          code: code(id),
          code_verifier,
          redirect_uri: home,
          ...more,
        })
      const refresh = ({ refresh_token }) => request('token', { grant_type: 'refresh_token', refresh_token })
      const wrong = await redeem('a', 'other')
      const elsewhere = await redeem('b', 'verifier', { redirect_uri: `${home}x` })
      const first = await redeem('c', 'verifier')
      const again = await redeem('c', 'verifier')
      const second = await refresh(first)
      const reuse = await refresh(first)
      const afterReuse = await refresh(second)
      const other = await redeem('d', 'verifier')
      await request('revocation', { token: other.refresh_token })
      const revoked = await refresh(other)
      const headers = { Authorization: `Bearer ${first.access_token}` }
      const user = await (await fetch(`${home}provider/userinfo`, { headers })).json()
      const all = { wrong, elsewhere, first, again, second, reuse, afterReuse, revoked }
      const statuses = Object.entries(all).map(([name, { status, error }]) => [name, error ?? status])
      return { ...Object.fromEntries(statuses), user: user.name }
    }, site.demo)
    assert.deepEqual(results, {
      wrong: 'invalid_grant',
      elsewhere: 'invalid_grant',
      first: 200,
      again: 'invalid_grant',
      second: 200,
      reuse: 'invalid_grant',
      afterReuse: 'invalid_grant',
      revoked: 'invalid_grant',
      user: 'Alice Liddell',
    })
  }),
)

test('a file of headers has the headers of each file', async () => {
  const place = { origin: 'https://docs.example.com' }
  for (const path of Object.keys(await buildStatic())) {
    const headers = new Map()
    for (const block of headersFile(path.split('/')[1], place).split(/\n(?=\/)/)) {
      const [pattern, ...lines] = block.trimEnd().split('\n  ')
      if (!(pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern)) continue
      for (const line of lines) {
        const [, name, value] = /^(?:! )?([\w-]+)(?:: (.*))?$/.exec(line)
        if (line.startsWith('!')) headers.delete(name)
        else headers.set(name, value)
      }
    }
    assert.deepEqual(Object.fromEntries(headers), headersOf(path, place), path)
  }
})

test('frame of the comparison has the height of its content before it is seen', time, () =>
  open(async (page) => {
    const frame = page.locator('#comparison')
    const content = await (await frame.elementHandle()).contentFrame()
    await content.waitForSelector('#login', { state: 'attached' })
    const height = await content.evaluate(() => document.body.offsetHeight)
    await page.waitForFunction(
      (height) => document.querySelector('#comparison').style.height === height,
      `${height}px`,
    )
    const { y } = await frame.boundingBox()
    assert.ok(y > page.viewportSize().height, `${y}`)
  }),
)

test('code has no broken lines, and the ring says what it counts', time, () =>
  open(async (page) => {
    const broken = await page.evaluate(
      () =>
        [...document.querySelectorAll('.listing pre')].filter((pre) => {
          const lines = pre.textContent.trimEnd().split('\n').length
          const { lineHeight, paddingTop } = getComputedStyle(pre)
          return pre.clientHeight > lines * parseFloat(lineHeight) + 3 * parseFloat(paddingTop)
        }).length,
    )
    assert.equal(broken, 0)
    await page.setViewportSize({ width: 390, height: 844 })
    const wide = await page.evaluate(
      () =>
        [...document.querySelectorAll('.listing pre')].filter((pre) => pre.scrollWidth > pre.clientWidth)
          .length,
    )
    assert.equal(wide, 0, 'a narrow window')
    await signIn(page)
    assert.match(await page.innerText('.ring-text'), /^Access token\s+\d+\s+seconds? left$/)
    assert.ok((await page.locator('.read-on a').count()) >= 5)
  }),
)
