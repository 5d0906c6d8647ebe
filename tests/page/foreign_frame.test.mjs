// The refusal of a popup login in a frame of another site. The browser decides if the frame is foreign, by its cookies.
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { load } from '../support/page_module.mjs'

const { handlerLogin, isForeignFrame } = await load(
  'page/token-handler/handler-login.ts',
  'page/login/foreign-frame.ts',
)

/** Makes this process a page. `accepts` is true if the browser accepts `SameSite` cookies in its frame. */
function page({ isFramed = true, accepts = true, vendor = '', topOrigin } = {}) {
  const cookies = new Map()
  globalThis.window = globalThis
  globalThis.parent = isFramed ? {} : globalThis
  globalThis.top = {
    get location() {
      if (topOrigin) return { origin: topOrigin }
      throw new DOMException('', 'SecurityError')
    },
  }
  Object.defineProperty(globalThis, 'navigator', { value: { vendor }, configurable: true })
  globalThis.document = {
    get cookie() {
      return [...cookies].map((pair) => pair.join('=')).join('; ')
    },
    set cookie(text) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(text)
      if (/Max-Age=0/.test(text)) cookies.delete(name)
      else if (accepts) cookies.set(name, value)
    },
  }
}

const APPLE = 'Apple Computer, Inc.'

beforeEach(() => page())

for (const [name, options, isForeign] of [
  ['a page', { isFramed: false, accepts: false }, false],
  ['a frame of its own site', {}, false],
  ['a frame of another site', { accepts: false }, true],
  ['a frame of its own site and another origin in WebKit', { vendor: APPLE }, true],
  ['a frame of its own origin in WebKit', { vendor: APPLE, topOrigin: 'https://app.example' }, false],
]) {
  test(`${name} is ${isForeign ? 'foreign' : 'not foreign'}, and no cookie stays`, () => {
    page(options)
    assert.equal(isForeignFrame(), isForeign)
    assert.equal(document.cookie, '')
  })
}

test('a token handler refuses a popup login in a foreign frame', async () => {
  page({ accepts: false })
  globalThis.open = () => assert.fail('a window opens')
  const refuse = (code, message) => Promise.reject(Object.assign(new Error(message), { code }))
  const context = { base: '/auth', state: {}, events: new EventTarget(), refuse }
  await assert.rejects(handlerLogin(context, { mode: 'popup' }), {
    code: 'unsupported',
    message: /another site/,
  })
})
