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
  await tab.click('#search')
  const verdict = await waitFor(tab, () => document.querySelector('.verdict')?.textContent)
  assert.equal(verdict, 'No token in this page.')
  // The comparison tells the demo its height when it has started in its frame. WebKit draws it when it is in view.
  await tab.evaluate(() => document.getElementById('comparison').scrollIntoView())
  await waitFor(tab, () => document.getElementById('comparison').style.height)
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
      { name: 'playground: the core names all problems of a configuration', see: playground },
    ],
  },
]
