// The test double in jsdom and happy-dom, the documents of test runners. As in Vitest, the globals of the document
// replace those of Node. `cargo xtask recipes` runs the test runners themselves.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { Window } from 'happy-dom'
import { JSDOM } from 'jsdom'
import { CONFIG, testCases } from '../contract/double.mjs'

const time = { timeout: 20_000 }
const PAGE = 'http://localhost:3000/orders'

/** Functions that return the window of a document. */
const DOCUMENTS = {
  jsdom: () => new JSDOM('', { url: PAGE }).window,
  'happy-dom': () => new Window({ url: PAGE }),
}

/** Globals of the language, and those that Vitest leaves as they are. */
const KEPT = new Set([...runInNewContext('Object.getOwnPropertyNames(globalThis)'), 'URL', 'WebAssembly'])

/** Methods of a window's prototype. */
const INHERITED = ['addEventListener', 'removeEventListener', 'dispatchEvent']

/** Replaces globals by those of a window. Returns a function that restores them. */
function enter(window) {
  const isReplaced = (name) => !KEPT.has(name) && (!(name in globalThis) || /^[A-Z]/.test(name))
  const names = [...Object.getOwnPropertyNames(window), ...INHERITED].filter(isReplaced)
  const former = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)])
  for (const name of names) {
    const value = window[name]
    const isMethod = typeof value === 'function' && /^[a-z]/.test(name)
    set(name, { value: isMethod ? value.bind(window) : value, configurable: true, writable: true })
  }
  set('window', { value: globalThis, configurable: true })
  return () => {
    delete globalThis.window
    for (const [name, descriptor] of former) set(name, descriptor)
  }
}

function set(name, descriptor) {
  delete globalThis[name]
  if (descriptor) Object.defineProperty(globalThis, name, descriptor)
}

for (const [name, open] of Object.entries(DOCUMENTS)) {
  describe(name, () => {
    let window, leave, testWorld
    before(async () => {
      window = open()
      leave = enter(window)
      ;({ testWorld } = await import(`../../pkg/dist/testing.js?${name}`))
    })
    after(() => leave())

    test('globals are those of the document', () => {
      for (const part of ['Event', 'EventTarget', 'AbortController', 'document', 'location']) {
        assert.equal(globalThis[part], window[part], part)
      }
    })

    testCases(() => testWorld)

    test('clicks in the document extend the session', time, async () => {
      const world = await testWorld(CONFIG)
      world.signIn()
      for (let i = 0; i < 2; i++) {
        await world.advance('20m')
        document.body.dispatchEvent(new window.MouseEvent('pointerdown', { bubbles: true }))
      }
      assert.ok(world.auth.state.session)
      await world.advance('31m')
      assert.equal(world.auth.state.endReason, 'idle')
      world.close()
    })

    test('login returns to the URL of the document', time, async () => {
      const returned = []
      const world = await testWorld(CONFIG, { onReturn: (path) => returned.push(path) })
      world.auth.login({ returnTo: '/orders?open' })
      await world.settle()
      assert.equal(location.pathname, '/orders')
      await world.followRedirect()
      assert.deepEqual(returned, ['/orders?open'])
      assert.equal(world.auth.state.session.claims.sub, 'alice')
      world.close()
    })
  })
}
