/** Traces of the code that a login by a callback page could leave for script that runs later. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  beControlled,
  eavesdrop,
  networkFirst,
  readCache,
  readTraces,
} from '../../support/callback_traces.mjs'
import { callbackGroup, signIn } from '../../support/engines/callback.mjs'
import { waitFor } from '../../support/engines/driver.mjs'

const noTraces = (name) => ({
  name,
  async see({ app, visit }) {
    const { tab, another } = await visit('/orders')
    // A session in the memory of a shared worker survives the callback page, because this page is connected, too.
    const listening = await another('/orders')
    await waitFor(listening, () => typeof boot === 'object')
    await listening.evaluate(eavesdrop)
    await signIn(tab)
    const { value: code } = app.ledger.newest('authorization_code')
    const traces = await tab.evaluate(readTraces)
    assert.ok(!traces.includes(code), traces)
    // Control: what is in these places is found.
    assert.ok(traces.includes('/orders'), traces)
    await tab.evaluate(() => new BroadcastChannel('strongroom response').postMessage('control'))
    await waitFor(listening, () => overheard.includes('"control"'))
    const overheard = await listening.evaluate(() => overheard.join())
    assert.ok(!overheard.includes(code), overheard)
  },
})

const cachedPages = {
  // claim: callback-9
  name: 'callback page: a network-first service worker of the app keeps the code, unless it leaves the page alone',
  async see({ app, visit }) {
    app.site.serviceWorkers.push('/sw.js')
    for (const isExcluded of [false, true]) {
      app.site.files['/sw.js'] = networkFirst(isExcluded)
      const { tab } = await visit('/empty')
      await tab.evaluate(beControlled)
      await tab.goto(`${app.site.origin}/orders`)
      await signIn(tab)
      const kept = await tab.evaluate(readCache)
      assert.ok(kept.includes('/orders'), kept)
      assert.equal(kept.includes(app.ledger.newest('authorization_code').value), !isExcluded)
    }
  },
}

/** A service worker that replies with the paths of all pages. */
const TELLS_PATHS = `
addEventListener('message', async ({ ports: [port] }) => {
  const all = await clients.matchAll({ includeUncontrolled: true })
  port.postMessage(all.map(({ url }) => new URL(url).pathname))
})`

const knownByAddress = {
  // claim: callback-9
  name: 'callback page: a new service worker knows the page by the address at which it was opened',
  async see({ app, visit }) {
    app.site.serviceWorkers.push('/sw.js')
    app.site.files['/sw.js'] = TELLS_PATHS
    const { tab } = await visit('/empty?code=a')
    const paths = await tab.evaluate(async () => {
      history.replaceState(null, '', '/other')
      await navigator.serviceWorker.register('/sw.js')
      const { active } = await navigator.serviceWorker.ready
      const { port1, port2 } = new MessageChannel()
      active.postMessage('', [port2])
      return new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)))
    })
    assert.deepEqual(paths, ['/empty'])
  },
}

const onlyHash = {
  // claim: callback-9
  name: 'callback page: a policy with only the hash of the page’s script lets it run, and no other script',
  async see({ app, visit }) {
    const code = `document.title = 'ran'\nnew Worker('/hashed.worker.js').onmessage = () => (document.title += ', worker')`
    const hash = `sha384-${createHash('sha384').update(code).digest('base64')}`
    Object.assign(app.site.files, {
      '/hashed.js': code,
      '/other.js': "document.title += ', other'",
      '/hashed.worker.js': "postMessage('')",
      '/hashed.html': `<!doctype html>
<meta http-equiv="Content-Security-Policy" content="script-src '${hash}'; worker-src 'self'">
<title></title>
<script type="module" src="/hashed.js" integrity="${hash}"></script>
<script type="module" src="/other.js"></script>`,
    })
    const { pageCsp } = app.site
    app.site.pageCsp = "script-src 'self'; worker-src 'self'"
    try {
      const { tab } = await visit('/hashed.html')
      await waitFor(tab, () => document.title.includes('worker'))
      assert.equal(await tab.evaluate(() => document.title), 'ran, worker')
    } finally {
      app.site.pageCsp = pageCsp
    }
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const callbackTraces = [
  callbackGroup('traces, sealed', { session: { persist: 'sealed' } }, [
    noTraces(
      // claim: callback-6
      'callback page, dedicated worker: a login leaves no code in caches, storage, history and on channels',
    ),
    cachedPages,
    knownByAddress,
    onlyHash,
  ]),
  callbackGroup(
    'traces, in memory',
    {},
    [
      noTraces(
        'callback page, shared worker: a login leaves no code in caches, storage, history and on channels',
      ),
    ],
    'shared',
  ),
]
