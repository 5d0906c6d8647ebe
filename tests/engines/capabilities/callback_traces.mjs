/** Traces of the code that a login by a callback page could leave for script that runs later. */
import assert from 'node:assert/strict'
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

/** @type {import('../suite.mjs').Group[]} */
export const callbackTraces = [
  callbackGroup('traces, sealed', { session: { persist: 'sealed' } }, [
    noTraces(
      'callback page, dedicated worker: a login leaves no code in caches, storage, history and on channels',
    ),
    cachedPages,
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
