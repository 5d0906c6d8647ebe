// A query parser of the app may let a link add members to `Object.prototype`. For the page they are not there.
import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { mock, test } from 'node:test'
import { FakeWorker, fakePage, settled, storage } from '../support/fake_page.mjs'
import { load } from '../support/page_module.mjs'

fakePage()
navigator.serviceWorker = undefined
mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
mock.method(performance, 'now', () => 0)
mock.method(console, 'warn', () => {})
const { createAuth } = await load('page/auth/create-auth.ts')

const SOURCES = new URL('../../pkg/src/', import.meta.url)
const COMMENT = /\/\*[^]*?\*\/|\/\/.*/g
const MEMBER = /\.\s*([A-Za-z_$][\w$]*)|[{,]\s*([A-Za-z_$][\w$]*)\s*(?=[,:}=])/g

/** Names that JavaScript itself and `addEventListener()` read from plain objects, and what every object has. */
const OF_THE_PLATFORM = new Set([
  'get',
  'set',
  'return',
  'signal',
  'source',
  ...Object.getOwnPropertyNames(Object.prototype),
])

/** What a link writes, for names whose values the page compares. */
const VALUES = {
  account: '3',
  callbackPage: 'true',
  code: 'evil',
  fallback: '/evil',
  frame: 'https://evil.example/frame',
  isExpiring: 'true',
  login: { prompt: 'none' },
  mode: 'popup',
  name: '3',
  params: { a: '1' },
  prompt: 'none',
  provider: 'true',
  reason: 'security',
  resume: 'redirect',
  returnTo: '/evil',
  scope: 'admin',
  session: { claims: { sub: 'evil' }, startedAt: 5 },
  'strongroom.fallback /auth': '1',
  wasm: 'https://evil.example/a.wasm',
}

/** Keys of localStorage that the page puts together. An item that is not there would be read from `Object.prototype`. */
const KEYS = ['strongroom.fallback /auth', 'strongroom.fallback /auth since']

/** Returns the names of all members that the page's code reads or writes. */
async function namesOfMembers() {
  const names = new Set()
  const files = await readdir(SOURCES, { recursive: true })
  for (const file of files.filter((file) => /^(page|protocol)\/.*\.ts$/.test(file))) {
    const code = (await readFile(new URL(file, SOURCES), 'utf8')).replace(COMMENT, '')
    for (const [, read, key] of code.matchAll(MEMBER)) names.add(read ?? key)
  }
  return [...names].filter((name) => !OF_THE_PLATFORM.has(name))
}

const outcome = (promise) => promise.then(JSON.stringify, ({ code, message }) => code ?? message)

/** Connects, signs in and out. Resolves with what worker and app have seen. `later` is called after `createAuth()`. */
async function life(later = () => {}) {
  globalThis.localStorage = storage()
  location.href = 'https://app.example/'
  const worker = new FakeWorker({ user: 'alice' })
  const names = []
  const states = []
  const auth = createAuth({ dedicated: (name) => (names.push(name), worker), fallback: '/auth' })
  later()
  auth.subscribe(({ status, session, error }) => states.push([status, session?.claims.sub, error?.code]))
  await settled()
  const login = outcome(auth.login({ prompt: 'login' }))
  await settled()
  worker.announce({ t: 'session', session: { claims: { sub: 'bob' }, startedAt: 5 }, reason: null })
  worker.announce({ t: 'done', id: worker.received.findLast(({ t }) => t === 'login')?.id })
  await settled()
  const logout = outcome(auth.logout())
  await settled()
  const messages = worker.received.map((message) => JSON.stringify({ ...message, loaded: 0 }))
  auth.close()
  await settled()
  return JSON.stringify({ names, states, messages, login: await login, logout: await logout })
}

/** Returns two lives: a link adds the member after `createAuth()`, and before. */
async function livesWith(name) {
  const value = VALUES[name] ?? 'x'
  const member = { value, configurable: true, enumerable: true, writable: true }
  try {
    return [await life(() => Object.defineProperty(Object.prototype, name, member)), await life()]
  } catch (error) {
    return [error.message]
  } finally {
    delete Object.prototype[name]
  }
}

test('the page reads nothing from Object.prototype', async () => {
  const usual = await life()
  assert.match(usual, /"connected","alice".*"connected","bob".*"login":"{.*"logout":"{/)
  const names = [...KEYS, ...(await namesOfMembers())]
  assert.ok(names.includes('fallback') && names.includes('startedAt'))
  const changed = []
  for (const name of names) {
    const lives = await livesWith(name)
    if (lives.some((life) => life !== usual)) changed.push(name)
  }
  assert.deepEqual(changed, [])
})

test('a member that changes a life is noticed', async () => {
  const usual = await life()
  assert.notEqual((await livesWith('return'))[0], usual)
})
