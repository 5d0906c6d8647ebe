/**
 * Ways in which script of a page sends data to another server, with the generated policy alone. The test of all ways, in
 * Chromium, is `tests/browser/exits.test.mjs`.
 */
import assert from 'node:assert/strict'
import { ignoreNavigation, poll } from '../../support/engines/driver.mjs'
import { authorizationQuery } from '../../support/exits/headers.mjs'
import { startOther } from '../../support/exits/other_server.mjs'
import { startOwn } from '../../support/exits/own_servers.mjs'
import { GROUPS } from '../../support/exits/ways.mjs'

/** Starts the servers. The app needs no vault. */
async function serve() {
  const [own, other] = await Promise.all([startOwn(), startOther()])
  return {
    site: { origin: own.app },
    api: { clear() {} },
    provider: own.provider,
    other,
    close: () => Promise.all([own.close(), other.close()]),
  }
}

/** Returns a way by the title of its group and its name there. */
function wayOf(title, name) {
  const way = GROUPS.filter((group) => group.title === title)
    .map(({ ways }) => ways[name])
    .find(Boolean)
  assert.ok(way, `${title}, ${name}`)
  return { name, ...(typeof way === 'function' ? { run: way } : way) }
}

/** Returns ways that all three engines know. */
const waysOf = (names) =>
  Object.entries(names).flatMap(([title, each]) => each.map((name) => wayOf(title, name)))

const STOPPED = waysOf({
  Requests: [
    '`fetch()`',
    '`fetch()` with `no-cors`',
    '`XMLHttpRequest`',
    '`sendBeacon()`',
    '`EventSource`',
    '`WebSocket`',
    '`Cache.add()`',
  ],
  'Links in the head': ['`preload` of an image', '`modulepreload`', '`stylesheet`'],
  Images: ['`<img>`', '`<img srcset>`', 'SVG `<image>`'],
  Styles: ['`background`', '`@import`', '`FontFace`'],
  Media: ['`<video>`', '`<audio>`'],
  Frames: ['`<iframe>`', '`<object>`', 'an image in a frame of `srcdoc`', 'an image in a frame of `blob:`'],
  Forms: ['a form with GET', 'a form with POST'],
  'Scripts and workers': ['`<script>`', '`import()`', 'a worker from `blob:`', 'an audio worklet'],
  Redirects: ['`fetch()` of an open redirect of the app', '`<img>` of an open redirect of the app'],
})

const OPEN = waysOf({
  'Navigations and links': ['`location`', '`<meta http-equiv=refresh>`', '`<a>`', '`<a download>`'],
  'The provider': ['its logout, which redirects to any address'],
  Redirects: ['`location` to an open redirect of the app'],
})

const FORM = wayOf('Forms', 'a form to an open redirect of the app')

/** Begins a way in a tab. Resolves with a function that returns true if the data has arrived. */
async function begin({ other, site, provider }, tab, { run, by }) {
  const expected = await other.expect(by)
  const target = { ...expected, provider, query: authorizationQuery(site.origin) }
  await tab.evaluate(`(target) => void setTimeout(() => (${run})(target))`, target).catch(ignoreNavigation)
  return () => other.hasArrived(expected.secret)
}

/** Returns a function that resolves with a tab for a way: a shared one, or a new one if the way needs its own. */
async function createTabs({ visit }, path) {
  const { tab, another } = await visit(path)
  return ({ page }) => (page === 'own' ? another(path) : tab)
}

/**
 * Tries ways in pages with the policy, and then in pages without headers, until the data arrives from those. Resolves with
 * the names of the ways by which it has arrived from the pages with the policy.
 */
async function reached(scene, ways) {
  const [guarded, free] = [await createTabs(scene, '/page/policy'), await createTabs(scene, '/page/none')]
  const attempts = []
  for (const way of ways) {
    const hasArrived = await begin(scene.app, await guarded(way), way)
    const control = await begin(scene.app, await free(way), way)
    attempts.push({ name: way.name, hasArrived, control })
  }
  for (const { name, control } of attempts) await poll(control, name)
  return attempts.filter(({ hasArrived }) => hasArrived()).map(({ name }) => name)
}

const stopped = {
  name: 'exits: the policy stops requests, images, styles, media, frames, forms, scripts and workers',
  async see(scene) {
    assert.deepEqual(await reached(scene, STOPPED), [])
  },
}

const open = {
  // claim: script-39
  name: 'exits: the policy stops no navigation to another server',
  async see(scene) {
    const { app } = scene
    const tab = await createTabs(scene, '/page/policy')
    for (const way of OPEN) await poll(await begin(app, await tab(way), way), way.name)
  },
}

const form = {
  name: 'exits: with the policy, a form to an open redirect of the app',
  async see(scene) {
    const [name] = await reached(scene, [FORM])
    return name ? 'reaches another server' : 'is stopped'
  },
}

/** @type {import('../suite.mjs').Group[]} */
export const exits = [{ name: 'exits', serve, capabilities: [stopped, open, form] }]
