// Mistakes in the use of the package. Each mistake is reported by an error or a warning that tells how to fix it.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { booted, forgedState, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** A host name of this machine that the browser treats like another device in the local network. */
const LAN = 'lan.test'

let app

before(async () => {
  app = await startApp({ launch: { args: [`--host-resolver-rules=MAP ${LAN} 127.0.0.1`] } })
})
after(() => app?.close())

const inLan = () => app.site.origin.replace('localhost', LAN)

test('connect() explains that plain http is not a secure context', time, async () => {
  const page = await app.open('/empty')
  await page.goto(`${inLan()}/empty`)
  const outcomes = await page.evaluate(async () => [
    await settle(connect(create.dedicated())),
    await settle(connect('/auth')),
    await settle(connectFrame('https://vault.example/frame.html')),
  ])
  for (const { error } of outcomes) {
    assert.equal(error.code, 'unsupported')
    assert.ok(error.isStrongroomError)
    assert.ok(error.message.startsWith(`${inLan()} is not a secure context`), error.message)
    assert.match(error.message, /https.*localhost/)
  }
  await page.context().close()
})

test('connect() explains what to pass instead of a script’s URL', time, async () => {
  const page = await app.open('/empty')
  for (const script of ['/auth.worker.js', '/src/auth.worker.ts?worker_file&type=module']) {
    const { error } = await page.evaluate(async (path) => settle(connect(path)), script)
    assert.equal(error.code, 'unsupported')
    assert.match(error.message, /path of a token handler.*new SharedWorker\(new URL\(/)
    assert.ok(error.message.includes(script.split('?')[0]), error.message)
  }
  await page.context().close()
})

test('connect() explains what its function must return', time, async () => {
  const page = await app.open('/empty')
  const outcomes = await page.evaluate(async () =>
    Promise.all(
      [() => './auth.worker.ts', () => undefined, async () => ({}), () => document.body, null].map((given) =>
        settle(connect(given)),
      ),
    ),
  )
  for (const { error } of outcomes) {
    assert.equal(error.code, 'unsupported')
    assert.match(error.message, /not a worker.*new SharedWorker\(new URL\(/)
  }
  assert.ok(outcomes[0].error.message.includes('./auth.worker.ts'), outcomes[0].error.message)
  await page.context().close()
})

/** Runs a function on a connected page. Resolves with the error of the function's result. */
async function refusal(call) {
  const page = await app.open()
  await booted(page)
  const { error } = await page.evaluate(call)
  await page.context().close()
  return error
}

for (const [name, call, message] of [
  [
    'connect()',
    () => settle(connect(create.shared(), { timeOut: 5 })),
    /^connect\(\) has no option `timeOut` \(did you mean `timeout`\?\)/,
  ],
  [
    'logout()',
    () => settle(auth.logout({ return_to: '/' })),
    /^logout\(\) has no option `return_to` \(did you mean `returnTo`\?\)/,
  ],
  [
    'logout() of no resemblance',
    () => settle(auth.logout({ all: true })),
    /^logout\(\) has no option 'all'\. /,
  ],
  [
    'login()',
    () => settle(auth.login({ login_hint: 'alice' })),
    /^login\(\) has no option `login_hint` \(did you mean `loginHint`\?\)/,
  ],
  [
    'login(), with a function',
    () => settle(auth.login({ oncode() {} })),
    /^login\(\) has no option `oncode` \(did you mean `onCode`\?\)/,
  ],
  [
    'handleCallback()',
    () => settle(auth.handleCallback({ returnTo: '/' })),
    /^handleCallback\(\) takes an address, /,
  ],
]) {
  test(`message_invalid: unknown option of ${name}`, time, async () => {
    const error = await refusal(call)
    assert.equal(error.code, 'message_invalid')
    assert.match(error.message, message)
  })
}

for (const [name, call] of Object.entries({
  'logout()': () => settle(auth.logout(new MouseEvent('click'))),
  'login()': () => settle(auth.login(new MouseEvent('click'))),
  'login(), with an event of React,': () => {
    // React's events refer to elements, which refer to React's own objects.
    class SyntheticEvent {
      _reactName = 'onClick'
      _targetInst = this
      preventDefault() {}
    }
    return settle(auth.login(new SyntheticEvent()))
  },
})) {
  test(`message_invalid: ${name} as an event handler`, time, async () => {
    const error = await refusal(call)
    assert.equal(error.code, 'message_invalid')
    assert.match(error.message, /was passed an event: write \(\) => log/)
  })
}

test('message_invalid: on() throws for an unknown event and names the known ones', time, async () => {
  const error = await refusal(() => settle((async () => auth.on('changed', () => {}))()))
  assert.equal(error.code, 'message_invalid')
  assert.ok(error.isStrongroomError)
  assert.match(error.message, /'changed', only call,change,expiring,failed,trace\./)
})

test('vault() in a page throws, and loads nothing', time, async () => {
  const page = await app.open('/empty')
  app.site.requests.length = 0
  const error = await page.evaluate(async (config) => {
    const { vault, StrongroomError } = await import('/strongroom/worker.js')
    try {
      vault(config)
    } catch (error) {
      return { code: error.code, message: error.message, isOne: error instanceof StrongroomError }
    }
  }, app.config)
  assert.equal(error.code, 'unsupported')
  assert.ok(error.isOne)
  assert.match(error.message, /outside a worker/)
  assert.deepEqual(
    app.site.requests.filter(({ path }) => path.endsWith('.wasm')),
    [],
  )
  await page.context().close()
})

/**
 * Opens a page at this URL, runs `script` there, and advances the page's clock beyond the time after which a warning
 * would be printed. Resolves with the `page`, the warnings in its console so far (`logged`), and a promise of the next
 * console message (`warned`), which resolves with `null` after three seconds without a message.
 */
async function warnings(address, script) {
  const page = await app.open('/empty')
  const logged = []
  page.on('console', (message) => message.type() === 'warning' && logged.push(message.text()))
  await page.clock.install()
  await page.goto(`${app.site.origin}/empty${address}`)
  await page.evaluate(async () => void (globalThis.auth = await connect(create.shared())))
  await page.evaluate(script)
  const warned = page.waitForEvent('console', { timeout: 3000 }).catch(() => null)
  await page.clock.fastForward(10_000)
  // The function of the warning's timer loads nothing, so it has completed by now.
  await page.evaluate(() => settle())
  return { logged, warned, page }
}

for (const answer of ['?code=a&state=', '?error=access_denied&state=', '#code=a&state=']) {
  test(`an unhandled ${answer}… in the URL triggers a warning`, time, async () => {
    const { logged, warned, page } = await warnings(answer + forgedState(app.config, 'b'), () => {})
    await warned
    assert.match(logged.join(), /handleCallback\(\) was not called/)
    assert.doesNotMatch(logged.join(), /=a\b|=b\b/)
    await page.context().close()
  })
}

for (const [name, address, script] of [
  ['without a response in the URL', '?code=a', () => {}],
  // These parameters do not belong to a login of the vault, so `handleCallback()` leaves them to other code.
  ['with a response to another library', '?code=a&state=b', () => {}],
  ['after handleCallback()', '?code=a&state=b', () => auth.handleCallback().catch(() => {})],
]) {
  test(`${name} there is no warning`, time, async () => {
    const { logged, page } = await warnings(address, script)
    assert.deepEqual(logged, [])
    await page.context().close()
  })
}
