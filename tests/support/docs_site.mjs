/** The documentation site in browsers. `cargo xtask docs` builds it. */
import { serve } from '../../www/docs/serve.mjs'
import { shareBrowser, together } from './browser.mjs'
import { ALL } from './combinations.mjs'

/**
 * Serves the site, for a Chromium.
 *
 * @returns {Promise<{ origin: string, browser: import('playwright-core').Browser, close(): Promise<unknown> }>}
 */
export async function startDocs() {
  const [site, use] = await together(serve(), shareBrowser())
  return {
    origin: site.origin,
    browser: use.browser,
    close: () => Promise.all([use.close(), site.close()]),
  }
}

/** Terms for which users search, and the page that one of the first results must be on. */
export const TERMS = {
  'refresh token rotation': /^\/(providers\/|sessions|glossary)/,
  'silent login': /^\/(login|sessions|faq)/,
  popup: /^\/login/,
  logout: /^\/(edge-sessions|options)/,
  'step-up': /^\/login/,
  'sign out on all devices': /^\/edge-sessions/,
  'persist sealed': /^\/(session-storage|options|faq)/,
  escrow: /^\/session-storage/,
  'service worker': /^\/pwa/,
  'content security policy': /^\/(headers|deployment|start)/,
  'worker-src': /^\/headers/,
  'trusted types': /^\/headers/,
  nginx: /^\/deployment/,
  Netlify: /^\/deployment/,
  Cloudflare: /^\/(deployment|edge-deploy)/,
  'Next.js': /^\/nextjs/,
  'React Router': /^\/react-router/,
  Angular: /^\/frameworks/,
  Svelte: /^\/frameworks/,
  'SvelteKit static': /^\/frameworks/,
  Express: /^\/edge-deploy/,
  'mixed content': /^\/faq/,
  'ad blocker': /^\/faq/,
  'block all cookies': /^\/faq/,
  offline: /^\/(pwa|faq|sessions)/,
  'two accounts': /^\/faq/,
  Solid: /^\/frameworks/,
  RequireSession: /^\/(frameworks|reference\/strongroom\/react)/,
  axios: /^\/clients/,
  'TanStack Query': /^\/(clients|react-router)/,
  WebSocket: /^\/event-sources-and-sockets/,
  'server-sent events': /^\/event-sources-and-sockets/,
  Auth0: /^\/providers\/auth0/,
  Keycloak: /^\/providers\/keycloak/,
  'Entra ID': /^\/providers\/entra-id/,
  Google: /^\/providers\/google/,
  token_reflected: /^\/errors#token_reflected/,
  url_not_allowed: /^\/errors#url_not_allowed/,
  wasm_failed: /^\/errors#wasm_failed/,
  redirect_uri_mismatch: /^\/errors#redirect_uri_mismatch/,
  DPoP: /^\/(dpop|options#dpop)/,
  PAR: /^\/options#par/,
  Vitest: /^\/testing-your-app/,
  Playwright: /^\/testing-your-app/,
  Electron: /^\/shells/,
  'browser extension': /^\/extensions/,
  'oidc-client-ts': /^\/migration/,
  vulnerability: /^\/security/,
  // Words that the documents do not use: www/docs/search-words.mjs.
  bff: /^\/edge(#|$)/,
  'logout everywhere': /^\/edge-sessions#sign-out-on-all-devices/,
  'logout other tabs': /^\/session-storage#tabs/,
  'key rotation': /^\/edge-operate#replace-a-key/,
  'change cookie keys': /^\/edge-operate#replace-a-key/,
  'failed refresh': /^\/sessions#when-a-refresh-fails/,
  'refresh failed': /^\/sessions#when-a-refresh-fails/,
  'sign out all devices': /^\/sessions#on-all-devices/,
  'stolen cookie': /^\/edge-bound/,
  'refresh token reuse': /^\/sessions/,
  'silent renew': /^\/sessions#a-new-session-without-the-user/,
  'second api audience': /^\/resources/,
  'how do I upload a file with progress?': /^\/fetch#progress/,
  'upload with progress': /^\/fetch#progress/,
  xhr: /^\/fetch/,
  interceptor: /^\/(clients|frameworks)/,
  'access token': /^\/(faq|fetch)/,
  'cors error': /^\/debugging/,
  'multiple tabs': /^\/session-storage#tabs/,
  safari: /^\/(faq|browsers)/,
  iframe: /^\/frames/,
  csrf: /^\/edge-reference/,
  'idle timeout': /^\/sessions#activity-and-limits/,
  'protected route': /^\/frameworks#guards/,
  'landing page': /^\/login#a-sign-in-button-without-a-guard/,
  'next-auth': /^\/migration-authjs/,
  msal: /^\/migration/,
  'postgres coordinator': /^\/edge-deploy/,
  'netlify.toml': /^\/deployment#netlify/,
  'fake provider': /^\/testing-your-app/,
  'environment variables': /^\/deployment#configuration-at-run-time/,
  'docs/headers.md': /^\/headers/,
  'bundle size': /^\/performance/,
}

/** The terms for which a browser searches: in a run without `--all` 40, because each one takes a quarter of a second. */
const IN_BROWSERS = Object.fromEntries(Object.entries(TERMS).slice(0, ALL ? undefined : 40))

/** The number of results among which the page must be. */
const FIRST = 5

/** Returns true if one of the first results of a search is on the page. */
export const isFound = (results, page) => results.slice(0, FIRST).some((path) => page.test(path))

/** True in a page whose scripts react to clicks, which is later than its `load` event. */
export const isMounted = () => document.querySelector('#app')?.__vue_app__ !== undefined

/** Opens the search, and waits until its index is loaded. */
export async function openSearch(tab, waitFor) {
  await waitFor(tab, isMounted)
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
export async function notFound(tab, terms = IN_BROWSERS) {
  const missing = {}
  for (const [term, page] of Object.entries(terms)) {
    const results = await search(tab, term)
    if (!isFound(results, page)) missing[term] = results.slice(0, FIRST)
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
