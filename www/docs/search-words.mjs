/**
 * Words by which people search for a section, although it does not use them: names in other libraries, informal names and
 * abbreviations. Each key is a page, with the anchor of the section.
 */
const WORDS = {
  'README.md#use-it':
    'getting started, quick start, tutorial, hello world, setup, sample app, vanilla JavaScript',
  'README.md#install': 'npm install, yarn add, pnpm add',
  'docs/faq.md#how-do-i-get-the-access-token':
    'getAccessToken, getAccessTokenSilently, acquireTokenSilent, getTokenSilently, get the access token, show the access token, bearer token, decode JWT',
  'docs/faq.md#why-is-the-user-signed-out-after-a-reload':
    'F5, session lost after reload, stay signed in, remember me, keep me logged in, localStorage, sessionStorage',
  'docs/faq.md#why-must-the-user-sign-in-again-in-safari-or-in-each-tab':
    'Safari, WebKit, iOS, iPhone, ITP, new tab, reload in Safari, session over reloads',
  'docs/faq.md#does-this-protect-against-xss':
    'cross-site scripting, steal token, token theft, injected script',
  'docs/faq.md#do-sentry-and-other-recorders-see-tokens': 'session replay, LogRocket, Datadog RUM',
  'docs/login.md#several-issuers': 'multiple issuers, multiple identity providers',
  'docs/login.md': 'log in, logon, signin, loginWithRedirect, signinRedirect, authorization code flow, PKCE',
  'docs/login.md#by-popup': 'loginWithPopup, signinPopup, window.open',
  'docs/login.md#a-sign-in-button-without-a-guard':
    'landing page, public page, login button, optional login, signed-in user name, avatar, header bar',
  'docs/login.md#step-up': 'MFA, multi-factor, 2FA, two-factor, acr, amr, reauthenticate, sudo mode',
  'docs/login.md#options-of-a-page':
    'switch account, select_account, login_hint, ui_locales, audience parameter',
  'docs/sessions.md#signing-out':
    'log out, signout, sign-out, end_session_endpoint, RP-initiated logout, post_logout_redirect_uri',
  'docs/sessions.md#on-all-devices':
    'logout everywhere, log out everywhere, sign out everywhere, sign out all devices, all sessions, revoke all sessions, other devices, global logout',
  'docs/edge-sessions.md#sign-out-on-all-devices':
    'logout everywhere, log out everywhere, sign out everywhere, all sessions, revoke all sessions, other devices, global logout, back-channel logout, single logout, SLO',
  'docs/edge-operate.md#replace-a-key':
    'key rotation, rotate keys, rotate secret, change keys, change cookie keys, renew a key, cookie secret, COOKIE_KEYS, encryption key',
  'docs/edge-operate.md#if-a-key-is-compromised': 'leaked secret, leaked key, emergency',
  'docs/edge-operate.md#limits-of-headers': 'cookie too large, 431, 502, header too big, chunked cookies',
  'docs/edge-observe.md': 'monitoring, observability, tracing, auditing',
  'docs/edge-observe.md#opentelemetry': 'OTel, metrics, Prometheus, spans, distributed tracing',
  'docs/edge-observe.md#a-dashboard-and-alerts': 'Grafana, alerting, Prometheus rules',
  'docs/edge-observe.md#probes': 'health check, healthcheck, liveness, readiness, heartbeat',
  'docs/edge-observe.md#request-ids': 'correlation ID, X-Request-Id, traceparent, trace ID',
  'docs/edge-sessions.md#a-page-your-devices': 'device list',
  'docs/fallback.md':
    'Lockdown Mode, no WebAssembly, wasm disabled, jitless, DisableJit, JIT off, unsupported browser',
  'docs/mcp.md':
    'Model Context Protocol, modelcontextprotocol, AI agent, LLM tools, StreamableHTTPClientTransport',
  'docs/accounts.md':
    'multiple accounts, account switcher, switch account, switch organization, org_id, add account, several users, multi-user',
  'docs/edge-tenants.md':
    'multi-tenant, multitenancy, multi-tenancy, SaaS, customers, realms, one provider per tenant, white label, custom domains, subdomain per tenant',
  'docs/edge-bound.md':
    'DBSC, device bound session credentials, stolen cookie, cookie theft, token theft, session hijacking, infostealer, TPM',
  'docs/edge.md': 'BFF, backend for frontend, server-side session, HttpOnly cookie',
  'docs/edge-deploy.md#node': 'container image, corporate proxy, outgoing proxy, HTTPS_PROXY',
  'docs/edge-deploy.md#choosing-a-coordinator': 'Redis, Durable Objects, shared store, database, KV, cluster',
  'docs/edge-deploy.md#postgres': 'PostgreSQL, Postgres coordinator, SQL, pg, Supabase, Neon, RDS',
  'docs/edge-deploy.md#a-store-of-your-own': 'MySQL, SQLite, DynamoDB, custom store',
  'docs/edge-reference.md#requests-of-scripts':
    'CSRF, XSRF, cross-site request forgery, SameSite, anti-forgery',
  'docs/react-router-server.md':
    'Remix, framework mode, SSR, clientLoader, remix-auth, createCookieSessionStorage',
  'docs/tanstack-start.md': 'createServerFn, createMiddleware, SSR, TanStack Router',
  'docs/nuxt.md': 'Nitro, h3, useAsyncData, useRequestFetch, SSR, nuxt-auth-utils, sidebase, nuxt-oidc-auth',
  'docs/edge-page.md#the-signed-in-user-on-the-server':
    'SSR, server-side rendering, getSession, current user',
  'docs/sessions.md#when-a-refresh-fails':
    'failed refresh, refresh failed, refresh fails, refresh error, refresh token expired, invalid_grant, retry',
  'docs/sessions.md#an-outage': 'provider down, 503, offline, network error, hotel wifi, captive portal',
  'docs/sessions.md#a-lost-response':
    'refresh token reuse, reuse detection, token replay, reuse interval, leeway, race condition',
  'docs/sessions.md#a-new-session-without-the-user':
    'silent renew, silent refresh, automaticSilentRenew, checkSession, ssoSilent, hidden iframe, prompt=none, third-party cookies, single sign-on, SSO',
  'docs/sessions.md#activity-and-limits':
    'idle timeout, inactivity, auto logout, automatic logout, session timeout, session lifetime, keep alive, countdown, expiry warning',
  'docs/session-storage.md#tabs':
    'multiple tabs, several tabs, new tab, share session between tabs, tab sync, BroadcastChannel, logout other tabs',
  'docs/session-storage.md#where-a-session-is-stored':
    'localStorage, sessionStorage, IndexedDB, encryption at rest, token storage, store tokens, where to store tokens',
  'docs/fetch.md': 'xhr, XMLHttpRequest, bearer, http request, REST',
  'docs/fetch.md#progress':
    'xhr, XMLHttpRequest, upload progress, download progress, onUploadProgress, file upload, progress bar',
  'docs/fetch.md#rules-for-urls': 'allow list, whitelist, allowed urls, base url, wildcard',
  'docs/clients.md':
    'gRPC, connectrpc, interceptor, axios instance, withCredentials, SWR, GraphQL, urql, ofetch, got, superagent, Angular HttpClient',
  'docs/clients.md#sign-in-when-a-call-fails': '401 handling, 401 interceptor, unauthorized',
  'docs/resources.md':
    'second API, second audience, second API audience, multiple APIs, multiple audiences, audience per API, resource indicators, microservices, Graph API',
  'docs/event-sources-and-sockets.md':
    'SSE, server-sent events, ws, wss, realtime, GraphQL subscriptions, socket.io, live updates',
  'docs/headers.md': 'CSP, security headers, Content-Security-Policy, COOP, COEP, unsafe-inline',
  'docs/exits.md':
    'exfiltration, exfiltrate, data leak, Connection-Allowlist, WebRTC leak, DNS prefetch, sealed page, outgoing connections',
  'docs/deployment.md':
    'hosting, production, go live, publish, static hosting, GitHub Pages, Apache, Caddy, Azure Static Web Apps, Firebase Hosting',
  'docs/deployment.md#netlify':
    'netlify.toml, Netlify headers, Netlify policy, policy on Netlify, Netlify edge functions',
  'docs/server-code.md':
    'loader, action, server component, server-side fetch, getServerSideProps, access token on the server, SSR data',
  'docs/server-code.md#express': 'Koa, NestJS, express middleware',
  'docs/faq.md#why-does-it-fail-for-some-users-only':
    'ad blocker, adblock, block all cookies, third-party cookies, privacy extension, uBlock, Brave, mixed content, captive portal',
  'docs/frameworks.md#svelte': 'SvelteKit static, adapter-static',
  'docs/deployment.md#vercel': 'vercel.json',
  'docs/deployment.md#s3-with-cloudfront': 'AWS, Amazon, Lambda@Edge, S3 bucket',
  'docs/deployment.md#nginx': 'nginx.conf, Docker, Dockerfile, reverse proxy',
  'docs/deployment.md#configuration-at-run-time':
    'environment variables, env, staging, multi-tenant, runtime config, window.env',
  'docs/deployment.md#a-new-deployment-while-tabs-are-open':
    'update, new version, rollout, stale worker, cache busting, zero downtime',
  'docs/debugging.md#symptoms':
    'CORS error, Access-Control-Allow-Origin, blank page, redirect loop, infinite loop, not working, blocked by CORS, preflight, stuck, troubleshooting',
  'docs/debugging.md#while-you-develop':
    'hot reload, HMR, hot module replacement, live reload, Fast Refresh, development mode',
  'docs/errors.md#client_rejected': 'invalid_client, unauthorized_client, client authentication failed',
  'docs/debugging.md': 'devtools, inspect, log, trace, troubleshooting',
  'docs/frames.md':
    'iframe, embed, embedded app, X-Frame-Options, frame-ancestors, partitioned cookies, Teams tab',
  'docs/migration.md':
    'alternative to, replace a library, upgrade, switch from, oidc-client, AppAuth, oidc-react',
  'docs/migration.md#auth0-spa-js':
    'auth0-react, @auth0/auth0-spa-js, @auth0/auth0-react, createAuth0Client, Auth0Provider, useAuth0',
  'docs/migration.md#msal-azuremsal-browser--react--angular':
    'msal, msal-browser, msal-react, msal-angular, MsalProvider, PublicClientApplication, Azure AD, acquireTokenSilent',
  'docs/migration.md#keycloak-js':
    'keycloak.updateToken, check-sso, onLoad login-required, silent-check-sso.html, react-keycloak',
  'docs/migration.md#oidc-client-ts-and-react-oidc-context':
    'UserManager, angular-oauth2-oidc, angular-auth-oidc-client, signinSilent, userLoaded',
  'docs/migration-authjs.md':
    'next-auth, NextAuth, Auth.js, getServerSession, iron-session, @auth0/nextjs-auth0',
  'docs/providers/entra-id.md': 'Azure AD, Azure Active Directory, Microsoft, Office 365',
  'docs/testing-your-app.md': 'mock, unit test, e2e, Cypress, jsdom, fake provider, test double',
  'docs/frameworks.md#guards': 'protected route, private route, route guard, AuthGuard, canActivate',
  'docs/frameworks.md#vue': 'Nuxt, Pinia, vue-router',
  'docs/frameworks.md#without-a-framework': 'vanilla JS, plain JavaScript, jQuery, web components, Lit, htmx',
  'docs/bundlers.md': 'Vite, webpack, Turbopack, Rspack, Rsbuild, Parcel, esbuild, Rollup, wasm loader',
  'docs/media.md':
    'img src, authenticated images, video element, protected images, blob URL, seek, file download, Authorization header for images',
  'docs/pwa.md': 'progressive web app, Workbox, offline app, install, vite-plugin-pwa, ngsw',
  'docs/shells.md':
    'Capacitor, Cordova, Ionic, Tauri, Electron, React Native, mobile app, native app, desktop app, deep link, universal link',
  'docs/performance.md': 'bundle size, kilobytes, wasm size, slow, latency, benchmark, memory',
  'docs/comparison.md': 'versus, vs, alternatives, oidc-spa, Duende, TMI-BFF',
  'docs/field.md': 'race condition, multiple tabs, invalid_grant, refresh token reuse, bfcache, clock skew',
  'docs/dpop.md': 'sender-constrained tokens, proof of possession, RFC 9449, token binding',
  'docs/other-logins.md#on-another-device': 'device code, device flow, TV, QR code, RFC 8628',
  'docs/oauth.md': 'OAuth2 only, no OIDC, GitHub login, Spotify, Discord, without id_token',
  'docs/session-storage.md#micro-frontends-several-bundles-in-one-page':
    'module federation, single-spa, microfrontend',
  'docs/session-storage.md#several-apps-on-one-origin':
    'base path, base path subfolder, subdirectory, sub-path, basename, PUBLIC_URL, BASE_URL',
  'docs/session-storage.md#several-subdomains':
    'SSO between subdomains, cross-domain, cross-subdomain session',
  'docs/supply-chain.md': 'SBOM, provenance, npm audit, dependencies, reproducible build',
  'docs/login.md#a-login-that-fails':
    'login error, access_denied, invalid_state, state mismatch, redirect_uri mismatch',
  'docs/login.md#the-id-token':
    'user profile, email, roles, groups, permissions, nonce claim, JWKS, signature',
}

/** The words of each section. */
export const terms = Object.entries(WORDS).map(([section, words]) => ({ section, words: words.split(', ') }))

/** The sections that are not found yet. After the build, one that is left does not exist. */
export const unused = new Set(Object.keys(WORDS))

/** The mark before and after words in the index. The excerpts of results leave out what is between two marks. */
export const MARK = '⁂'

/** The number of times that the index has each word, so that a word counts in a long section, too. */
const TIMES = 4

/** Matches the first heading of a page, or the one with this anchor. */
const headingOf = (anchor) => (anchor ? new RegExp(`<(h[1-6]) id="${anchor}".*?</\\1>`, 's') : /<\/h1>/)

/**
 * Returns the HTML of a page with its words below their headings. The path of its file is one of them, because messages
 * of the package name it.
 *
 * @param {string} page The page's path in the repository.
 * @param {string} html
 */
export function withWords(page, html) {
  const below = (text, anchor, words) =>
    text.replace(
      headingOf(anchor),
      (heading) => `${heading}\n<p>${MARK} ${`${words}. `.repeat(TIMES)}${MARK}</p>`,
    )
  return Object.entries(WORDS).reduce(
    (text, [section, words]) => {
      const [path, anchor] = section.split('#')
      if (path !== page) return text
      const changed = below(text, anchor, words)
      if (changed !== text) unused.delete(section)
      return changed
    },
    below(html, undefined, page),
  )
}
