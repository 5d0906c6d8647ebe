/** The demo without servers, and the playground, under the headers of docs/deployment.md. */
import assert from 'node:assert/strict'
import { waitFor } from '../../support/engines/driver.mjs'
import { startStaticSite } from '../../support/static_site.mjs'

async function serve() {
  const site = await startStaticSite()
  return { site, api: { clear() {} }, close: site.close }
}

const pathOf = (address) => new URL(address).pathname

async function demo({ app: { site }, visit }) {
  const { tab } = await visit(pathOf(site.demo))
  await waitFor(tab, () => document.body?.dataset.state === 'signed-out')
  await tab.click('#login')
  await waitFor(tab, () => document.getElementById('approve') && !document.body?.hidden)
  await tab.click('#approve')
  await waitFor(tab, () => document.body?.dataset.state === 'signed-in')
  await waitFor(tab, () => auth.session.accessTokenExpiresAt < Date.now())
  await tab.click('[data-call=orders]')
  await waitFor(tab, () => document.getElementById('cancel').hidden)
  assert.match(await tab.evaluate(() => document.getElementById('result-status').textContent), /^200/)
  const holdings = await tab.evaluate(() => auth.inspect())
  assert.equal(holdings.find(({ kind }) => kind === 'refresh_token').generation, 2)
  assert.deepEqual(await tab.evaluate(search), [])
  // The comparison tells the demo its height when it has started in its frame. WebKit draws it when it is in view.
  await tab.evaluate(() => document.getElementById('comparison').scrollIntoView())
  await waitFor(tab, () => document.getElementById('comparison').style.height)
}

const search = async () => (await document.querySelector('strongroom-inspector').search()).tokens

/** Describes what a test of the search writes to. */
const snapshot = async () => {
  const databases = (await indexedDB.databases()).map(({ name }) => name).sort()
  const inspector = document.querySelector('strongroom-inspector')
  // A driver adds symbols of its own.
  const names = Object.getOwnPropertyNames(window).sort()
  return [
    [history.state, history.length, location.href, document.cookie],
    [{ ...localStorage }, { ...sessionStorage }, databases, await caches.keys()],
    [names, inspector.outerHTML, inspector.shadowRoot.childNodes.length],
  ]
}

async function inspector({ app: { site }, visit }) {
  const { tab } = await visit(pathOf(site.demo))
  await waitFor(tab, () => document.body?.dataset.state === 'signed-out')
  await tab.evaluate(() => {
    globalThis.reads = 0
    globalThis.model = {
      get token() {
        return ++reads
      },
    }
    history.replaceState({ router: 1 }, '')
    localStorage.own = '1'
  })
  const before = await tab.evaluate(snapshot)
  const click = (selector) =>
    document.querySelector('strongroom-inspector').shadowRoot.querySelector(selector).click()
  await tab.evaluate(click, '.test')
  await tab.evaluate(click, '.plant')
  const verdict = await waitFor(
    tab,
    () => document.querySelector('strongroom-inspector').shadowRoot.querySelector('.verdict')?.textContent,
  )
  assert.equal(verdict, 'Found all 10 planted tokens, and removed them again.')
  assert.deepEqual(await tab.evaluate(snapshot), before)
  assert.equal(await tab.evaluate(() => reads), 0)
  await tab.evaluate(
    () => void (localStorage.own = `eyJhbGciOiJub25lIn0.${'eyJzdWIiOi'.repeat(3)}.c2lnbmF0dXJl`),
  )
  assert.equal((await tab.evaluate(search)).length, 1)
}

async function playground({ app: { site }, visit }) {
  const { tab } = await visit(pathOf(site.playground))
  const verdict = () =>
    waitFor(tab, () => {
      const content = document.querySelector('#verdict[aria-busy=false]')?.children
      return content?.length && [...content].map(({ innerText }) => innerText).join('\n')
    })
  assert.equal(await verdict(), 'The vault starts.')
  await tab.evaluate(() => {
    const editor = document.getElementById('configuration')
    editor.value = editor.value.replace('https://', 'ftp://').replace('clientId', 'clientID')
    editor.dispatchEvent(new Event('input'))
  })
  assert.match(await verdict(), /clientID: there is no such option \(did you mean clientId\?\)\s+issuer is/)
}

export const staticPages = [
  {
    name: 'static pages',
    serve,
    capabilities: [
      {
        name: 'static demo: signs in, refreshes, and the search finds no token in the page',
        see: demo,
      },
      {
        name: 'inspector: finds each planted token, restores the page, and runs no getter of the page',
        see: inspector,
      },
      { name: 'playground: the core names all problems of a configuration', see: playground },
    ],
  },
]
