/** The documentation site in browsers. `cargo xtask docs` builds it. */

/** Terms for which users search, and the page that one of the first results must be on. */
export const TERMS = {
  'refresh token rotation': /^\/(sessions|providers|decisions|glossary|login|edge)/,
  'silent login': /^\/(login|sessions|faq|browsers|frameworks)/,
  popup: /^\/(login|options|browsers|callback)/,
  logout: /^\/(login|sessions|edge|options|reference)/,
  'step-up': /^\/(login|fetch|providers|options|resources)/,
  'sign out on all devices': /^\/edge/,
  'persist sealed': /^\/(sessions|session|options|faq|protection|start)/,
  escrow: /^\/(sessions|session|decisions|protection|reference)/,
  'service worker': /^\/(deployment|sessions|edge-page|service|pwa|callback|headers)/,
  'content security policy': /^\/(deployment|headers|start|bundlers|standalone)/,
  'worker-src': /^\/(deployment|headers|vault-origin|bundlers)/,
  'trusted types': /^\/(deployment|headers)/,
  nginx: /^\/(headers|hosting|hosts|deployment|edge-deploy)/,
  Netlify: /^\/(headers|hosting|hosts|deployment)/,
  Cloudflare: /^\/(headers|hosting|hosts|edge-deploy|deployment)/,
  'Next.js': /^\/nextjs/,
  'React Router': /^\/react-router/,
  Angular: /^\/(frameworks|reference\/strongroom\/angular)/,
  Svelte: /^\/frameworks/,
  Solid: /^\/(frameworks|reference\/strongroom\/solid)/,
  RequireSession: /^\/(frameworks|reference|react-router|start)/,
  axios: /^\/clients/,
  'TanStack Query': /^\/(clients|react-router)/,
  WebSocket: /^\/(fetch|options|reference)/,
  'server-sent events': /^\/(fetch|faq)/,
  Auth0: /^\/providers\/(auth0)?/,
  Keycloak: /^\/providers\/(keycloak)?/,
  'Entra ID': /^\/providers\/(entra-id)?/,
  Google: /^\/providers\/(google)?/,
  token_reflected: /^\/(errors|deployment|fetch|reflection|faq)/,
  url_not_allowed: /^\/(errors|fetch|debugging)/,
  wasm_failed: /^\/errors/,
  redirect_uri_mismatch: /^\/errors/,
  DPoP: /^\/(dpop|options)/,
  PAR: /^\/(options|login|providers|glossary|conformance)/,
  Vitest: /^\/testing-your-app/,
  Playwright: /^\/testing-your-app/,
  Electron: /^\/shells/,
  'browser extension': /^\/(extensions|faq)/,
  'oidc-client-ts': /^\/(migration|comparison|performance)/,
  vulnerability: /^\/(security|supply-chain|contributing)/,
}

/** The number of results among which the page must be. */
const FIRST = 6

/** Opens the search, and waits until its index is loaded. */
export async function openSearch(tab, waitFor) {
  await tab.click('.VPNavBarSearchButton')
  await waitFor(tab, () => document.querySelector('#localsearch-input') !== null)
  await tab.evaluate(() => {
    const input = document.querySelector('#localsearch-input')
    input.value = 'vault'
    input.dispatchEvent(new Event('input'))
  })
  await waitFor(tab, () => document.querySelector('.VPLocalSearchBox .result') !== null)
  await waitFor(tab, () => document.querySelector('.VPLocalSearchBox .results').ariaBusy === 'false')
}

/** Searches for a term. Resolves with the paths of the results. */
export function search(tab, term) {
  return tab.evaluate(async (wanted) => {
    const input = document.querySelector('#localsearch-input')
    const list = document.querySelector('.VPLocalSearchBox .results')
    const searched = new Promise((resolve) => {
      const options = { attributes: true, attributeFilter: ['aria-busy'], attributeOldValue: true }
      const observer = new MutationObserver((records) => {
        if (!records.some(({ oldValue }) => oldValue === 'true') || list.ariaBusy === 'true') return
        observer.disconnect()
        resolve()
      })
      observer.observe(list, options)
    })
    input.value = wanted
    input.dispatchEvent(new Event('input'))
    await searched
    return [...list.querySelectorAll('.result')].map((result) => result.getAttribute('href'))
  }, term)
}

/** Resolves with the terms whose page is not among the first results, each with these results. */
export async function notFound(tab, terms = TERMS) {
  const missing = {}
  for (const [term, page] of Object.entries(terms)) {
    const results = await search(tab, term)
    if (!results.slice(0, FIRST).some((path) => page.test(path))) missing[term] = results.slice(0, FIRST)
  }
  return missing
}

/** Counts, in every page of a tab's session from now on, what the page's policy blocks. */
export function watchPolicy() {
  globalThis.blocked = []
  addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) =>
    globalThis.blocked.push(`${violatedDirective} ${blockedURI} ${sourceFile}`),
  )
}
