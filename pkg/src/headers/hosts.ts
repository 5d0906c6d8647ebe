/** The headers in the formats of hosts. */
import { withoutBackslashes } from './allowlist.js'
import { invalid, mediaPaths } from './checks.js'
import type { HeaderConfig, HeaderOptions } from './options.js'
import { type ResponseHeaders, callbackPath, popupPaths, securityHeaders } from './security-headers.js'
import { leavingFolder } from './worker-folder.js'

/** A rule of Next's `headers()`, and of vercel.json. */
export interface NextRule {
  source: string
  headers: { key: string; value: string }[]
}

/** Returns the rules for `headers()` in Next's configuration, and for `headers` in vercel.json. */
export const nextHeaders = (config: HeaderConfig, options: HeaderOptions): NextRule[] => {
  const { page, callback, popups, worker, module } = securityHeaders(config, options)
  const list = (headers: ResponseHeaders) =>
    // Next removes one of two backslashes from a header, and Vercel does for a folder.
    Object.entries(headers).map(([key, value]) => ({ key, value: withoutBackslashes(value) }))
  const escaped = (path: string) => path.replace(/[.]/g, '\\.')
  const path = escaped(options.worker.slice(1))
  const isFolder = path.endsWith('/')
  const ofCallback = callbackPath(config, options)
  const ofPopups = popupPaths(options)
  const own = [...(ofCallback === undefined ? [] : [ofCallback]), ...ofPopups]
  const others = [`${path}${isFolder ? '' : '$'}`, ...own.map((one) => `${escaped(one.slice(1))}$`)]
  return [
    // These rules do not overlap, so it does not matter which one counts. The module's rule sets another header.
    { source: `/((?!${others.join('|')}).*)`, headers: list(page) },
    ...(ofCallback === undefined ? [] : [{ source: escaped(ofCallback), headers: list(callback) }]),
    ...ofPopups.map((one) => ({ source: escaped(one), headers: list(popups) })),
    { source: isFolder ? `/${path}:file*` : `/${path}`, headers: list(worker) },
    ...(options.module === undefined ? [] : [{ source: escaped(options.module), headers: list(module) }]),
  ]
}

/** The maximum length of a line in Cloudflare's `_headers`, with its indentation. */
const CLOUDFLARE_LINE = 1998

/**
 * Returns a `_headers` file for Cloudflare, which combines all rules that match a path. The worker's file matches both
 * rules, so its own rule first removes the page's headers.
 */
export const cloudflareHeaders = (config: HeaderConfig, options: HeaderOptions): string => {
  const { page, callback, popups, worker, module } = securityHeaders(config, options)
  const [pageLines, callbackLines, workerLines] = [lines(page), lines(callback), lines(worker)]
  const removed = Object.keys(page).map((name) => `! ${name}`)
  const blockInPlace = (path: string, content: string[]) => block(path, [...removed, ...content])
  const ofCallback = callbackPath(config, options)
  for (const line of [...pageLines, ...callbackLines, ...workerLines]) {
    if (line.length > CLOUDFLARE_LINE) {
      throw invalid(
        `Cloudflare ignores lines of more than ${CLOUDFLARE_LINE} characters, and '${line.slice(0, 40)}…' has ${line.length}: send this header by a Worker or Pages function`,
      )
    }
  }
  return (
    block('/*', pageLines) +
    (ofCallback === undefined ? '' : blockInPlace(ofCallback, callbackLines)) +
    popupPaths(options)
      .map((path) => blockInPlace(path, lines(popups)))
      .join('') +
    blockInPlace(pattern(options.worker), workerLines) +
    moduleBlock(options.module, module)
  )
}

/**
 * Returns a `_headers` file for Netlify, which combines all rules that match a path. No rule can remove a header, so the
 * pages' paths must be listed.
 *
 * @param documents The paths of the app's pages, such as `['/', '/callback', '/orders/*']`.
 */
export const netlifyHeaders = (
  config: HeaderConfig,
  options: HeaderOptions & { documents: string[] },
): string => {
  const { page, callback, worker, module } = securityHeaders(config, options)
  const path = pattern(options.worker)
  const ofCallback = callbackPath(config, options)
  if (popupPaths(options).length) {
    throw invalid(
      '`allowPopups` cannot be used with Netlify, where files such as icons have no headers: script could read the response to a login in a window with such a file (docs/callback-page.md)',
    )
  }
  if (!Array.isArray(options.documents)) {
    throw invalid(
      "`documents` is missing, and must be the paths of the app's pages, such as ['/', '/orders/*']",
    )
  }
  const pages = options.documents.map((document) => {
    if (!/^\/([\w.~@:-]+\/)*([\w.~@:-]+|\*)?$/.test(document)) {
      throw invalid(`\`documents\` has ${JSON.stringify(document)}, and must have paths such as '/orders/*'`)
    }
    if (overlap(document.split('/'), path.split('/'))) {
      throw invalid(
        `\`documents\` has '${document}', which also matches the worker's path: Netlify would send it both policies`,
      )
    }
    if (ofCallback !== undefined && overlap(document.split('/'), ofCallback.split('/'))) {
      throw invalid(
        `\`documents\` has '${document}', which also matches the callback page: Netlify would send it both policies`,
      )
    }
    return block(document, lines(page))
  })
  const own = ofCallback === undefined ? '' : block(ofCallback, lines(callback))
  return pages.join('') + own + block(path, lines(worker)) + moduleBlock(options.module, module)
}

/** Returns true if a path can match both of Netlify's patterns, which are given by segments. */
const overlap = ([a, ...as]: string[], [b, ...bs]: string[]): boolean => {
  if (a === '*' || b === '*') return true
  if (a === undefined || b === undefined) return a === b
  // A segment with a colon is a placeholder.
  return (a === b || /:/.test(a + b)) && overlap(as, bs)
}

const pattern = (worker: string): string => (worker.endsWith('/') ? `${worker}*` : worker)

const lines = (headers: ResponseHeaders): string[] =>
  Object.entries(headers).map(([name, value]) => `${name}: ${value}`)

const block = (path: string, content: string[]): string =>
  [path, ...content.map((line) => `  ${line}`), ''].join('\n')

const moduleBlock = (path: string | undefined, headers: ResponseHeaders): string =>
  path === undefined ? '' : block(path, lines(headers))

/** Parts of a configuration of nginx. */
export interface NginxHeaders {
  /** The part for the block `http`. Files in `conf.d` are in this block. */
  http: string
  /** The part for the block `server`. A `location` with an `add_header` of its own does not inherit these headers. */
  server: string
}

/** Returns the configuration of nginx, which also refuses the registration of foreign service workers. */
export const nginxHeaders = (config: HeaderConfig, options: HeaderOptions): NginxHeaders => {
  const { page, callback, popups, worker, module } = securityHeaders(config, options)
  const ofCallback = callbackPath(config, options)
  const ofPopups = popupPaths(options)
  const quote = (value = '') => {
    // nginx has no way to write this character in a string.
    if (value.includes('$')) throw invalid(`nginx cannot send a header with '$': ${value}`)
    return `"${value.replace(/["\\]/g, '\\$&')}"`
  }
  const path = options.worker.endsWith('/') ? `"~^${options.worker.replace(/[.]/g, '\\.')}"` : options.worker
  const names = [
    ...new Set([page, callback, popups, worker, module].flatMap((headers) => Object.keys(headers))),
  ]
  // `$uri` is the file that nginx has found for the path.
  const filesOf = (address: string) => [address, `${address}.html`, `${address}/index.html`]
  const special = [
    ...(ofCallback === undefined ? [] : [{ address: ofCallback, headers: callback }]),
    ...ofPopups.map((address) => ({ address, headers: popups })),
  ]
  const variable = (name: string) => `$strongroom_${name.toLowerCase().replaceAll('-', '_')}`
  const map = (source: string, target: string, entries: string[]) =>
    [`map ${source} ${target} {`, ...entries.map((entry) => `  ${entry};`), '}', ''].join('\n')
  const maps = names.map((name) =>
    // nginx does not send a header whose value is empty.
    map(special.length ? '$strongroom_path' : '$uri', variable(name), [
      `default ${quote(page[name])}`,
      ...special.flatMap(({ address, headers }) =>
        filesOf(address).map((file) => `${file} ${quote(headers[name])}`),
      ),
      `${path} ${quote(worker[name])}`,
      ...(module[name] === undefined ? [] : [`${options.module} ${quote(module[name])}`]),
    ]),
  )
  if (special.length) {
    // The error pages of the callback's address have it in their own address, with the code. `error_page` changes `$uri`,
    // and for an address that is too long nginx has no request URI. A router's page has another `$uri` than its address.
    const requested = special.map(({ address }) => `"~^${address.replace(/[.]/g, '\\.')}(\\?|$)" ${address}`)
    const unknown = ofCallback === undefined ? [] : [`"" ${ofCallback}`]
    maps.unshift(map('$request_uri', '$strongroom_path', ['default $uri', ...unknown, ...requested]))
  }
  const exempt =
    options.serviceWorker === undefined
      ? []
      : [`"~^script:${options.serviceWorker.replace(/[.]/g, '\\.')}$" ""`]
  const foreign = '$strongroom_service_worker'
  maps.push(map('"$http_service_worker:$uri"', foreign, ['default "1"', '"~^:" ""', ...exempt]))
  const outside = '$strongroom_outside'
  const leaving = leavingFolder(options.worker)
  if (leaving) maps.push(map('$request_uri', outside, ['default ""', `"~*${leaving}" "1"`]))
  return {
    http: maps.join(''),
    server: [
      `if (${foreign}) { return 403; }`,
      ...(leaving ? [`if (${outside}) { return 403; }`] : []),
      // Without headers of its own, the location inherits those below.
      ...mediaPaths(config.apis).map((path) => `location ^~ ${path} { return 404; }`),
      // Errors must not be cached: so `Cache-Control` lacks the parameter `always`.
      ...names.map((name) => `add_header ${name} ${variable(name)}${name in module ? '' : ' always'};`),
      '',
    ].join('\n'),
  }
}
