// Other code in the worker file has the same powers as the vault, as docs/deployment.md says. These tests show that the
// worker does not protect the vault from the worker's own imports. The vault calls the `fetch` that it found when it
// started.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { call, signIn, startApp } from '../support/app.mjs'

const time = { timeout: 60_000 }

/** A library that observes all requests, as monitoring libraries do. */
const WATCHES = `
const genuine = fetch
const channel = new BroadcastChannel('watched')
globalThis.fetch = (url, init) => {
  channel.postMessage(new Headers(init?.headers).get('authorization'))
  return genuine(url, init)
}`

const STRONGROOM = "import { vault } from '/strongroom/worker.js'"
const LIBRARY = "import '/library.js'"

/** Resolves with the library's observations of a call to the API. `imports` is the order of the worker's imports. */
async function heard(imports) {
  const app = await startApp({ kind: 'dedicated', provider: { accessTokenSeconds: 3600 } })
  try {
    app.site.files['/library.js'] = WATCHES
    app.setWorker([...imports, `vault(${JSON.stringify(app.config)})`].join('\n'))
    const page = await app.open()
    await signIn(page)
    await page.evaluate(() => {
      globalThis.watched = []
      new BroadcastChannel('watched').onmessage = ({ data }) => watched.push(data)
    })
    assert.equal((await call(page, `${app.api.url}orders`)).value.status, 200)
    // Messages of one channel arrive in order. When this message has arrived, all earlier messages have arrived too.
    const all = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const last = new BroadcastChannel('watched')
          const look = () => (watched.includes('last') ? resolve(watched) : setTimeout(look, 10))
          last.postMessage('last')
          look()
        }),
    )
    return all.includes(`Bearer ${app.ledger.newest('access_token').value}`)
  } finally {
    await app.close()
  }
}

// claim: package-5
test('a library imported after strongroom cannot see tokens in fetch', time, async () => {
  assert.equal(await heard([STRONGROOM, LIBRARY]), false)
})

// claim: package-5
test('a library imported before it sees the token', time, async () => {
  assert.equal(await heard([LIBRARY, STRONGROOM]), true)
})
