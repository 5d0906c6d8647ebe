// The cookies that APIs set and receive. An API that stores the token in a readable cookie gives the token to script,
// unless its rule has `credentials: 'omit'`.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 30_000 }

let app

before(async () => {
  app = await startApp({ provider: { accessTokenSeconds: 3600 } })
  app.site.override('/api/me', { headers: { 'Set-Cookie': 'seen=token; Path=/' }, body: '{}' })
  app.api.on('cookies', ({ request, response }) => {
    response.appendHeader('Set-Cookie', 'visited=yes; Path=/')
    response.end(request.headers.cookie ?? 'none')
  })
})
after(() => app?.close())

/** Opens a page of the app with these `apis`, and signs in. */
async function withRules(apis) {
  app.setConfig({ apis })
  const page = await app.open()
  await signIn(page)
  return page
}

/** Resolves with the cookies that script can read after a call of an API on the app's own origin. */
async function readableCookies(rule) {
  const page = await withRules([{ url: '/api/', ...rule }])
  const { value } = await call(page, `${app.site.origin}/api/me`)
  assert.equal(value?.status, 200)
  const cookies = await page.evaluate(() => document.cookie)
  await page.context().close()
  return cookies
}

// claim: api-4
test('credentials: ’omit’ keeps an API’s cookies from script', time, async () => {
  assert.equal(await readableCookies({ credentials: 'omit' }), '')
})

// claim: api-4
test('a control: by default script reads an API’s cookies', time, async () => {
  assert.equal(await readableCookies({}), 'seen=token')
})

test('unsupported: the page includes cookies, and the rule does not', time, async () => {
  for (const credentials of ['same-origin', 'omit', undefined]) {
    const page = await withRules([{ url: app.api.url, ...(credentials && { credentials }) }])
    const { error } = await call(page, `${app.api.url}on/cookies`, { credentials: 'include' })
    assert.equal(error?.code, 'unsupported')
    await page.context().close()
  }
})

test('credentials: ’include’ lets a page send cookies elsewhere', time, async () => {
  // This host is of the page's site, so that browsers send its cookies, and of another origin.
  const elsewhere = app.api.url.replace('127.0.0.1', 'localhost')
  app.site.connectSrc.push(new URL(elsewhere).origin)
  const page = await withRules([{ url: elsewhere, credentials: 'include' }])
  const sent = async (init) => (await call(page, `${elsewhere}on/cookies`, init)).value?.text
  await sent({ credentials: 'include' })
  assert.match(await sent({ credentials: 'include' }), /visited=yes/)
  assert.equal(await sent(), 'none')
  await page.context().close()
})
