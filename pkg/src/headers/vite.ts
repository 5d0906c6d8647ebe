/** A plugin for Vite's servers. */
import { StrongroomError } from '../page/errors/error.js'
import {
  beside,
  type Build,
  type Bundle,
  checkWritten,
  type HashedPage,
  mergeCallbackPages,
} from './callback-script.js'
import { checkNames, invalid, mediaPaths } from './checks.js'
import { hasHash, hints, soonConnected } from './module.js'
import type { Exits, HeaderConfig, HeaderOptions } from './options.js'
import {
  type ResponseHeaders,
  type SecurityHeaders,
  callbackPath,
  generate,
  popupPaths,
} from './security-headers.js'
import { leavingFolder } from './worker-folder.js'

/** A request and a response of Vite's server. */
interface ViteRequest {
  url?: string | undefined
  headers: Record<string, string | string[] | undefined>
  // The types of Vite's request differ between its versions.
  socket?: object
}
interface ViteResponse {
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body?: string): unknown
}
type ViteHandler = (request: ViteRequest, response: ViteResponse, next: () => void) => void
/** A server of Vite. */
interface ViteServer {
  middlewares: { use(handler: ViteHandler): unknown }
}
/** The part of Vite's configuration that says where a build's files are, and for whom it builds. */
interface ViteBuild {
  mode: string
  root: string
  base: string
  build: { outDir: string; assetsDir: string; minify?: unknown; ssr?: unknown }
  experimental?: object
  logger: { warn(message: string): void }
}
/** A file that Vite writes. */
interface ViteOutput {
  type: string
  source?: string | Uint8Array
}
/** A tag that Vite writes into a page. */
interface ViteTag {
  tag: string
  attrs: Record<string, string | boolean>
  injectTo: 'head-prepend'
}

/** The part of a build that Vite tells a plugin. Versions before 6 have no environments. */
interface ViteContext extends Build {
  environment?: { config: { consumer: string } }
}

/** A plugin for Vite. */
export interface VitePlugin {
  name: string
  configResolved(config: ViteBuild): Promise<void>
  configureServer(server: ViteServer): void
  configurePreviewServer(server: ViteServer): Promise<void>
  transformIndexHtml: {
    order: 'post'
    handler(html: string, context: { path: string; bundle?: Record<string, unknown> }): ViteTag[]
  }
  generateBundle: {
    order: 'post'
    // The types of Vite's context differ between its versions.
    handler(this: object, options: unknown, bundle: Record<string, unknown>): Promise<void>
  }
  writeBundle: { order: 'post'; sequential: true; handler(options: { dir?: string }): Promise<void> }
}

/** Options of {@link viteHeaders}. Vite's servers know the app's address, and its builds the module's path. */
export interface ViteOptions extends Omit<HeaderOptions, 'exits' | 'origin' | 'module'> {
  /** As for `securityHeaders()`. With `development`, the development server sends the list, too. */
  exits?: Exits & { development?: boolean }
  /**
   * Writes hints into the pages of a build, with which the browser requests the worker's file and the module, and connects
   * to the servers that the worker requests first, while it loads the page's scripts. Default false. The page's policy must
   * name both files, and browsers must be allowed to keep them: docs/headers.md.
   */
  prefetch?: boolean
}

/**
 * Returns a plugin for Vite. `vite preview` then serves the headers of {@link securityHeaders}. The development server
 * omits the page's policy, because Vite and its plugins put inline scripts and styles into the page, and the list of
 * `exits`. Both servers refuse foreign service workers, and encoded slashes in the worker's folder.
 *
 * With `callbackPage: true`, a build writes the callback page's scripts as one file, and their hash into the page.
 *
 * Vite refuses to build or to start with a configuration that the vault would refuse. One without `scope` is taken for the
 * part that headers need.
 */
export const viteHeaders = (config: HeaderConfig, options: ViteOptions): VitePlugin => {
  const { prefetch = false, exits, ...rest } = options
  const { development = false, ...list } = exits ?? {}
  const headersWith = (more: Partial<HeaderOptions>) =>
    generate(config, { ...rest, ...(exits && { exits: list }), ...more, origin: `https://${ANY_HOST}` })
  const previewHeaders = headersWith({})
  const { 'worker-src': workers = [], ...others } = options.page ?? {}
  // The development server's worker consists of several files.
  const developmentHeaders = headersWith({ page: { ...others, 'worker-src': [...workers, "'self'"] } })
  /** Returns true for the headers that the development server sends with a page. */
  const isSent = (name: string, isCallback: boolean) =>
    name === 'Content-Security-Policy' ? isCallback : name !== 'Connection-Allowlist' || development
  const media = mediaPaths(config.apis)
  const leaving = leavingFolder(options.worker)
  const outside = leaving ? new RegExp(leaving, 'i') : undefined
  let vite: ViteBuild
  let judged: Promise<void> | undefined
  let hashed: HashedPage[] = []
  const use = (
    server: ViteServer,
    isPreview: boolean,
    { page, callback, popups, worker, module }: SecurityHeaders,
    modulePath?: string,
  ) => {
    const ofCallback = callbackPath(config, { origin: `https://${ANY_HOST}` })
    const ofPopups = popupPaths(options)
    // In development the page has inline scripts of Vite and its plugins, so only this directive is sent.
    if (!isPreview) callback = { ...callback, 'Content-Security-Policy': "frame-ancestors 'none'" }
    server.middlewares.use((request, response, next) => {
      const [requested = '/', query = ''] = (request.url ?? '/').split('?')
      const isForeign = request.headers['service-worker'] && requested !== options.serviceWorker
      if (isForeign || outside?.test(requested)) {
        response.statusCode = 403
        response.end(
          isForeign
            ? 'strongroom: only the file of the option `serviceWorker` of viteHeaders() may be a service worker'
            : '',
        )
        return
      }
      // In development, the worker's address is the source file with this query.
      const isSource = !isPreview && /(^|&)worker_file(&|$)/.test(query)
      const isWorker = isSource || isBelow(options.worker, requested)
      const isCallback = requested === ofCallback
      const ofPage = ofPopups.includes(requested) ? popups : page
      const ofFile = isWorker ? worker : isCallback ? callback : ofPage
      const headers = { ...ofFile, ...(requested === modulePath && module) }
      for (const [name, value] of Object.entries(headers)) {
        if (isWorker || isPreview || isSent(name, isCallback))
          response.setHeader(name, withHost(value, request))
      }
      // What reaches the server there has passed the service worker, and must not get the app's page.
      if (media.some((path) => requested.startsWith(path))) {
        response.statusCode = 404
        response.end()
        return
      }
      if (isCallback) keepHeaders(response, headers)
      next()
    })
  }
  /** Returns the hints of the page at `path`. */
  const hintsFor = (path: string, bundle?: Record<string, unknown>): ViteTag[] => {
    // The development server has no bundle.
    if (!prefetch || !bundle) return []
    const file = Object.keys(bundle).find(isModule)
    if (!file) {
      vite.logger.warn(
        'strongroom: no prefetch hint, because this build has no strongroom_bg.wasm with a hash in its name: let assetFileNames contain [hash], or remove prefetch',
      )
      return []
    }
    const base = baseOf(vite.base, path)
    const worker = workerOf(bundle as Record<string, ViteOutput>, file)
    return hints(
      worker && base + worker,
      base + file,
      soonConnected(config, { ...options, origin: `https://${ANY_HOST}` }),
    ).map(({ href, ...rest }) => ({
      tag: 'link',
      attrs: { ...rest, crossorigin: true, href },
      injectTo: 'head-prepend',
    }))
  }
  return {
    name: 'strongroom-headers',
    async configResolved(resolved) {
      vite = resolved
      // The type of the configuration has no `inspect`, because no header depends on it.
      if (vite.mode === 'production' && (config as { inspect?: boolean }).inspect) {
        vite.logger.warn(
          'strongroom: inspect: true in the configuration shows every script of the page the calls of all tabs, and is for development: docs/inspector.md',
        )
      }
      if (options.testing && vite.mode === 'production') {
        throw invalid(
          "`testing` of viteHeaders() is for development and tests, and the mode is 'production': run Vite in another mode, such as `vite build --mode e2e` and `vite preview --mode e2e`, and pass `testing: mode === 'e2e'`",
        )
      }
      // Some frameworks resolve the configuration several times.
      await (judged ??= judge(config, options.worker))
    },
    configureServer: (server) => use(server, false, developmentHeaders),
    async configurePreviewServer(server) {
      const path = prefetch ? await builtModule(vite) : undefined
      use(server, true, path ? headersWith({ module: path }) : previewHeaders, path)
    },
    transformIndexHtml: { order: 'post', handler: (_, { path, bundle }) => hintsFor(path, bundle) },
    generateBundle: {
      // Vite writes the addresses of a dynamic import's files after the pages.
      order: 'post',
      async handler(_, bundle) {
        const context = this as ViteContext
        const isServer = context.environment?.config.consumer === 'server' || vite.build.ssr
        hashed =
          config.callbackPage && !isServer ? await mergeCallbackPages(context, bundle as Bundle, vite) : []
      },
    },
    writeBundle: {
      order: 'post',
      sequential: true,
      async handler({ dir = '' }) {
        for (const page of hashed) await checkWritten(dir, page)
      },
    },
  }
}

/** The file core.ts, which the package has beside `strongroom/headers`. */
interface Core {
  loadJudge(): Promise<(config: unknown, base: string) => string | undefined>
}

/** Lets the core judge the whole configuration, as in the worker. In a part of it, only the names of options are checked. */
const judge = async (config: HeaderConfig, worker: string): Promise<void> => {
  if (!('scope' in config)) return checkNames(config)
  const { loadJudge }: Core = await import(/* webpackIgnore: true */ beside('headers/core.js'))
  const { redirectUri = '' } = config
  // A whole redirect URI has the app's origin, which is not known otherwise.
  const home = URL.canParse(redirectUri) ? new URL(redirectUri).origin : `https://${ANY_HOST}`
  const fault = (await loadJudge())(config, home + worker)
  if (fault !== undefined) throw new StrongroomError('config_invalid', fault)
}

/** Keeps Vite, which sets `Cache-Control` of each HTML file, from replacing these headers. */
const keepHeaders = (response: ViteResponse, headers: ResponseHeaders) => {
  const kept = new Set(Object.keys(headers).map((name) => name.toLowerCase()))
  const { setHeader } = response
  response.setHeader = (name, value) =>
    kept.has(name.toLowerCase()) ? response : setHeader.call(response, name, value)
}

/** Returns true for the name of the vault's module with a hash. */
const isModule = (file: string): boolean => /(^|\/)strongroom_bg[^/]*\.wasm$/.test(file) && hasHash(file)

/**
 * Returns the name of the worker's file, which is the one script of the bundle that names the module and that no page
 * loads. Vite emits workers as assets.
 */
const workerOf = (bundle: Record<string, ViteOutput>, module: string): string | undefined => {
  const [, name = module] = /([^/]*)$/.exec(module) ?? []
  const found = Object.entries(bundle).filter(
    ([file, { type, source }]) => type === 'asset' && file.endsWith('.js') && String(source).includes(name),
  )
  return found.length === 1 ? found[0]![0] : undefined
}

/** Returns the path of the module in Vite's last build, or `undefined` without such a file. */
const builtModule = async ({ root, base, build }: ViteBuild): Promise<string | undefined> => {
  const [{ readdir }, { resolve }] = await Promise.all([import('node:fs/promises'), import('node:path')])
  const files = await readdir(resolve(root, build.outDir, build.assetsDir)).catch(() => [])
  const file = files.find(isModule)
  return file && `${base}${build.assetsDir}/${file}`
}

/** Returns the prefix of a build's files in the page at `path`, because Vite's option `base` may be relative. */
const baseOf = (base: string, path: string): string =>
  base === '' || base === './' ? `./${'../'.repeat(path.split('/').length - 2)}` : base

/** The placeholder for the server's host in headers that are generated before a request. */
const ANY_HOST = 'any-host.invalid'

/** Inserts the server's own host, and the scheme that the server speaks. */
const withHost = (value: string, { headers: { host }, socket }: ViteRequest): string => {
  const secure = (socket as { encrypted?: boolean } | undefined)?.encrypted ? 's' : ''
  const name = typeof host === 'string' && /^[\w.:[\]-]+$/.test(host) ? host : 'localhost'
  const home = `http${secure}://${name}`
  return value
    .replaceAll(`https://${ANY_HOST}`, home)
    .replaceAll(`wss://${ANY_HOST}`, `ws${secure}://${name}`)
    .replaceAll(encodeURIComponent(`https://${ANY_HOST}`), encodeURIComponent(home))
}

const isBelow = (worker: string, path: string): boolean =>
  worker.endsWith('/') ? path.startsWith(worker) : path === worker
