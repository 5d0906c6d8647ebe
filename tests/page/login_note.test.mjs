// The note in sessionStorage about this tab's last login: what a page leaves while it finishes a login, and what it takes
// from a note.
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { FakeWorker, fakePage, settled } from '../support/fake_page.mjs'
import { loadAgain } from '../support/page_module.mjs'

const NOTE = 'strongroom.login 7'
const CALLBACK = 'https://app.example/callback'
const response = (code, mark = '') => `${CALLBACK}?code=${code}&state=0123456789abcdef.7${mark}`

const left = []
after(() => left.forEach((auth) => auth.close()))

beforeEach(() => {
  fakePage()
  Object.defineProperty(window, 'sessionStorage', { value: sessionStorage })
})

/** Loads a page at this URL. A page that the user leaves or reloads is not closed: its promises never settle. */
async function open(url, worker = new FakeWorker({})) {
  globalThis.location = Object.assign(new URL(url), { replace: () => {} })
  const { connect } = await loadAgain('page/connect.ts')
  const auth = await connect(worker, {})
  left.push(auth)
  const result = auth.handleCallback()
  result.catch(() => {})
  await settled()
  return { worker, result, callback: worker.received.find(({ t }) => t === 'callback') }
}

test('reload of an interrupted callback continues at the login’s target', async () => {
  sessionStorage.setItem(NOTE, 'away/orders')
  await open(response('a'))
  const reloaded = await open(CALLBACK)
  assert.deepEqual(await reloaded.result, { returnTo: '/orders' })
  assert.equal(sessionStorage.getItem(NOTE), null)
})

test('second response keeps the target of an interrupted callback', async () => {
  sessionStorage.setItem(NOTE, 'away/orders')
  for (const code of ['a', 'b']) await open(response(code))
  const reloaded = await open(CALLBACK)
  assert.deepEqual(await reloaded.result, { returnTo: '/orders' })
})

test('login that the vault begins again keeps its target', async () => {
  sessionStorage.setItem(NOTE, 'away/orders')
  const { worker, callback } = await open(response('a'))
  worker.announce({ t: 'navigate', id: callback.id, url: 'https://id.example/authorize' })
  await settled()
  assert.equal(sessionStorage.getItem(NOTE), 'away/orders')
})

// A hidden frame of `resume` shares sessionStorage with its page, which may be at the redirect URI, too.
test('popup or frame leaves no note', async () => {
  await open(response('a', '.p'))
  assert.equal(sessionStorage.getItem(NOTE), null)
})

test('login of another tab leaves no note', async () => {
  await open(response('a'))
  assert.equal(sessionStorage.getItem(NOTE), null)
})

test('finished login continues at an address with a parameter `state` of the app', async () => {
  sessionStorage.setItem(NOTE, JSON.stringify({ state: null, returnTo: '/map?state=ca.90210' }))
  const { result } = await open('https://app.example/map?state=ca.90210')
  assert.deepEqual(await result, { returnTo: '/map?state=ca.90210' })
  assert.equal(sessionStorage.getItem(NOTE), null)
})

// Another client of the page finishes the login, and its note is not of this client's name either.
test('response to another client stays, and so does the note', async () => {
  sessionStorage.setItem(NOTE, 'away/orders')
  const { worker, result } = await open(`${CALLBACK}?code=a&state=0123456789abcdef.8`)
  assert.equal(await result, null)
  assert.match(location.href, /code=a/)
  assert.equal(sessionStorage.getItem(NOTE), 'away/orders')
  assert.ok(!worker.received.some(({ t }) => t === 'callback'))
  assert.equal(await (await open(CALLBACK, Object.assign(new FakeWorker({}), { app: 8 }))).result, null)
  assert.equal(sessionStorage.getItem(NOTE), 'away/orders')
})

test('note that script has written does not lead out of the app', async () => {
  for (const returnTo of ['javascript:alert(1)', 'https://evil.example/', '//evil.example/']) {
    for (const code of [undefined, 'login_denied']) {
      sessionStorage.setItem(NOTE, JSON.stringify({ state: null, returnTo, code, message: '' }))
      const { result } = await open('https://app.example/')
      const outcome = await result.catch((error) => error)
      assert.equal(outcome.returnTo, '/', returnTo)
    }
  }
})
