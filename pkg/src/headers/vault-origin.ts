/** The headers of a vault on its own origin (docs/vault-origin.md). */
import { allowlist } from './allowlist.js'
import { appOrigin, checkPath, invalid } from './checks.js'
import { soonConnected } from './module.js'
import type { HeaderConfig, HeaderOptions } from './options.js'
import {
  defaultSources,
  hintOf,
  type ResponseHeaders,
  securityHeaders,
  serialize,
} from './security-headers.js'

/** Options of {@link vaultOriginHeaders}. `origin` is the vault's. */
export interface VaultOriginOptions extends Pick<HeaderOptions, 'origin' | 'worker' | 'module' | 'metadata'> {
  /** The origins of the apps, as in `vaultFrame({ apps })`. */
  apps: string[]
}

/** The headers of the vault's origin: of the frame's page, the callback page, the worker's file and the module. */
export interface VaultOriginHeaders {
  frame: ResponseHeaders
  callback: ResponseHeaders
  worker: ResponseHeaders
  /** Headers that the module's file gets in addition to its other headers. Empty without the option `module`. */
  module: ResponseHeaders
}

/**
 * Returns the headers of a vault on its own origin.
 *
 * @throws `StrongroomError` `config_invalid`, as {@link securityHeaders} does.
 */
export const vaultOriginHeaders = (config: HeaderConfig, options: VaultOriginOptions): VaultOriginHeaders => {
  const { apps, origin, worker: path, module } = options
  const home = appOrigin('origin', origin)
  const { worker, module: ofModule } = securityHeaders(config, options)
  const embedder = { 'Cross-Origin-Embedder-Policy': 'require-corp' }
  const common = { 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff' }
  if (!Array.isArray(apps) || !apps.length) throw invalid('`apps` must be an array of origins')
  const origins = apps.map((app, i) => appOrigin(`apps[${i}]`, app))
  const scripts = { 'script-src': ["'self'"] }
  const rest = { 'base-uri': ["'none'"], 'form-action': ["'none'"] }
  return {
    frame: {
      'Content-Security-Policy': serialize({
        ...defaultSources(home, options),
        ...scripts,
        'worker-src': [home + checkPath('worker', path)],
        ...rest,
        'frame-ancestors': origins,
      }),
      'Connection-Allowlist': allowlist(
        module === undefined ? [] : soonConnected(config, options).map((hinted) => `${hinted}/`),
      ),
      ...embedder,
      'Cross-Origin-Resource-Policy': 'same-site',
      ...hintOf(config, options),
      'Origin-Agent-Cluster': '?1',
      ...common,
    },
    callback: {
      'Content-Security-Policy': serialize({
        'default-src': ["'none'"],
        ...scripts,
        ...rest,
        'frame-ancestors': ["'none'"],
      }),
      // The page sends the browser to an app.
      'Connection-Allowlist': allowlist(origins),
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
      'Cache-Control': 'no-store',
      ...common,
    },
    worker: { ...worker, ...embedder },
    module: ofModule,
  }
}
