/** The options of the generators of headers. */
import type { ApiRule, ProviderMetadata, VaultConfig } from '../worker/config.js'

/** The part of the vault's configuration that decides the worker's `connect-src`, and the path of a callback page. */
export type HeaderConfig = Pick<
  VaultConfig,
  'callbackPage' | 'identity' | 'issuer' | 'metadata' | 'par' | 'pinned' | 'userInfo'
> & {
  apis: Pick<ApiRule, 'exact' | 'media' | 'url' | 'webSocket'>[]
  /** Needed with the option `exits` only. */
  clientId?: string
  /** Needed with `callbackPage: true`, and with the option `exits`. */
  redirectUri?: string
}

/** Options of {@link securityHeaders}. */
export interface HeaderOptions {
  /** The app's origin, such as `https://app.example.com`. */
  origin: string
  /**
   * The path of the worker's file, such as `/auth.worker.js`. If its name contains a hash, give its folder with a slash
   * at the end, such as `/assets/`. All files in the folder then get the worker's headers, and each of them may become
   * a worker.
   */
  worker: string
  /**
   * The path of the vault's WebAssembly module in this build, such as `/assets/strongroom_bg-BqTr3x9P.wasm`. Its name
   * must contain a hash. Pages then have the header `Link`, with which the browser requests the module while it loads
   * the page's scripts, and the module may be cached for a year. See docs/headers.md.
   */
  module?: string
  /**
   * The provider's metadata, if its endpoints have other origins than the issuer and the configuration has no `pinned`:
   * the content of `/.well-known/openid-configuration`. It replaces members of `pinned`, and the configuration's
   * `metadata` replaces members of both.
   */
  metadata?: Partial<ProviderMetadata>
  /**
   * More sources of the page's policy, by directive: `{ 'img-src': ['https://cdn.example.com'] }`. A directive that is
   * `'none'` without this option gets only these sources.
   */
  page?: Record<string, string[]>
  /**
   * Names of Trusted Types policies. With this option, strings become code or a worker's address only by one of these
   * policies. docs/headers.md shows the policy for the worker's address.
   */
  trustedTypes?: string[]
  /**
   * Allows `<base>` elements with addresses of the app's origin, which the router of Angular needs. Default false: an
   * injected `<base>` then cannot change what the page's relative addresses mean.
   */
  base?: boolean
  /**
   * The paths of pages that keep references to windows of other sites that they open, for example for payments. All
   * other pages then keep none, as with `callbackPage: true`, `exits` or `fallback`. Not for Netlify, whose files have no
   * headers. What it gives up: docs/callback-page.md.
   */
  allowPopups?: string[]
  /**
   * Limits the addresses to which script in the pages can send data, in Chromium and Edge, by the header
   * `Connection-Allowlist`. The pages then keep no references to windows of other sites, and **links to other sites that
   * `links` does not name show the browser's error page**. Needs `clientId`, `redirectUri` and the provider's
   * metadata (`pinned` or `metadata`). Not set by default. See docs/exits.md.
   */
  exits?: Exits
  /**
   * The token handler of `createAuth({ fallback })`: its configuration, or `{ base, routes: [{ prefix: '/api/' }] }`. The
   * pages may then call it, and keep no references to windows of other sites. See docs/headers.md.
   */
  fallback?: Fallback
  /** Adds the headers that make the page cross-origin isolated. Default false. */
  isolated?: boolean
  /** The path of the app's service worker, if there is one (docs/pwa.md). */
  serviceWorker?: string
  /**
   * Lets the test double `strongroom/testing` run in the page: WebAssembly, and requests of the page to the origins of
   * `apis`. For development and tests only, so `origin` must be http on loopback. Default false.
   */
  testing?: boolean
}

/** The part of a token handler's configuration that decides about the headers of pages. */
export interface Fallback {
  /** The path of the handler's endpoints. Default `/auth`. */
  base?: string
  /** The routes, in which only the prefix counts. Optional in the type only, so that a handler's configuration fits. */
  routes?: { prefix: string }[]
}

/** The ways out of the app's pages that stay open. */
export interface Exits {
  /**
   * Addresses of other sites to which the pages may link or navigate, such as `https://help.example.com/*`. A `*` stands
   * for any text. An address without a query admits each query. The scheme of another program is written as `mailto:*`.
   */
  links?: string[]
  /** Lets the pages connect by WebRTC, to any server. Default false. */
  webrtc?: boolean
}

/** The sources of a policy by directive. */
export type Policy = Record<string, string[]>
