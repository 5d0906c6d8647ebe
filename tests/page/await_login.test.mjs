// The end of a login, as both clients of a page wait for it, and the checks of its popup.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakePage, settled } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
const { awaitLogin, watchPopup } = await load('page/login/await-login.ts')

const refuse = async (code) => {
  throw Object.assign(new Error(code), { code })
}
const back = (persisted) => window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted }))

/** Begins a login. `log` lists its events and its result. */
function begin(t, options = {}, popup = undefined) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const log = []
  let login
  awaitLogin(
    options,
    popup,
    refuse,
    (begun) => {
      login = begun
      login.stops.push(() => log.push('stop'))
    },
    (isBack) => log.push(isBack ? 'back' : 'abandon'),
  ).then(
    (result) => log.push(result),
    ({ code }) => log.push(code),
  )
  return { log, login }
}

test('login ends once, and with it what belongs to it', async (t) => {
  let closed = 0
  const abort = new AbortController()
  const { log, login } = begin(t, { signal: abort.signal }, { close: () => closed++ })
  assert.equal(login.hasEnded, false)
  login.end('session')
  assert.deepEqual([login.hasEnded, closed], [true, 1])
  abort.abort()
  t.mock.timers.tick(600_000)
  await settled()
  assert.deepEqual(log, ['stop', 'session'])
})

test('login is abandoned at its time limit, and when it is canceled', async (t) => {
  const late = begin(t, { timeout: 5 })
  t.mock.timers.tick(4999)
  assert.deepEqual(late.log, [])
  t.mock.timers.tick(1)
  await settled()
  assert.deepEqual(late.log, ['abandon', 'stop', 'timeout'])
  t.mock.timers.reset()
  const abort = new AbortController()
  const canceled = begin(t, { signal: abort.signal })
  abort.abort()
  await settled()
  assert.deepEqual(canceled.log, ['abandon', 'stop', 'login_canceled'])
})

test('user who comes back by the back button ends a login in this window', async (t) => {
  const { log } = begin(t)
  back(false)
  await settled()
  assert.deepEqual(log, [])
  back(true)
  await settled()
  assert.deepEqual(log, ['back', 'stop', 'login_canceled'])
  t.mock.timers.reset()
  const popup = begin(t, {}, { close() {} })
  back(true)
  await settled()
  assert.deepEqual(popup.log, [])
})

test('popup that the browser blocks begins no login', async (t) => {
  const { log, login } = begin(t, {}, null)
  await settled()
  assert.deepEqual([log, login], [['popup_blocked'], undefined])
})

test('popup counts as closed after ten checks, unless it has come back', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const watch = (hasCome) => {
    const watched = { popup: { closed: false }, closed: 0 }
    watched.stop = watchPopup(watched.popup, hasCome, () => watched.closed++)
    return watched
  }
  const gone = watch(async () => false)
  t.mock.timers.tick(60_000)
  gone.popup.closed = true
  t.mock.timers.tick(9 * 500)
  await settled()
  assert.equal(gone.closed, 0)
  t.mock.timers.tick(500)
  await settled()
  assert.equal(gone.closed, 1)

  const back = watch(async () => true)
  back.popup.closed = true
  t.mock.timers.tick(60_000)
  await settled()
  assert.equal(back.closed, 0)

  // The login ends while `hasCome` is pending.
  let answer
  const late = watch(() => new Promise((resolve) => (answer = resolve)))
  late.popup.closed = true
  t.mock.timers.tick(5000)
  late.stop()
  answer(false)
  await settled()
  assert.equal(late.closed, 0)
})
