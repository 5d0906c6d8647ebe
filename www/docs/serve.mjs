/**
 * Serves the built site as a static host does: with the headers of `_headers`, without `.html` in addresses, and with
 * the page 404.html for what does not exist.
 *
 *   node www/docs/serve.mjs
 */
import { readFile } from 'node:fs/promises'
import { extname, normalize } from 'node:path/posix'
import { pathToFileURL } from 'node:url'
import { listen } from '../../tests/support/listen.mjs'
import { TYPES } from '../../tests/support/site.mjs'
import { OUTPUT } from './places.mjs'

/**
 * Returns the rules of a `_headers` file: for each a pattern of paths, the headers that it sets, and those that it
 * removes.
 */
export function parseHeaders(text) {
  const rules = []
  for (const line of text.split('\n')) {
    if (line.startsWith('/')) rules.push({ pattern: toPattern(line.trim()), set: [], removed: [] })
    const removed = /^\s+! (\S+)/.exec(line)
    if (removed) rules.at(-1).removed.push(removed[1])
    const set = /^\s+([\w-]+): (.*)$/.exec(line)
    if (set) rules.at(-1).set.push([set[1], set[2]])
  }
  return rules
}

const toPattern = (path) =>
  new RegExp(`^${path.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)

/** Returns the headers of a path, as Cloudflare combines them: in the order of the rules. */
export function headersFor(rules, path) {
  const headers = {}
  for (const { pattern, set, removed } of rules) {
    if (!pattern.test(path)) continue
    for (const name of removed) delete headers[name]
    Object.assign(headers, Object.fromEntries(set))
  }
  return headers
}

/** Resolves with a file of the site, or with `undefined`. */
const fileAt = (path) =>
  readFile(OUTPUT + path).then(
    (bytes) => ({ path, bytes }),
    () => undefined,
  )

/** Resolves with the file for a path. */
async function find(path) {
  if (path.endsWith('/')) return fileAt(`${path}index.html`)
  return (await fileAt(path)) ?? (extname(path) ? undefined : await fileAt(`${path}.html`))
}

/**
 * Starts a server of the built site.
 *
 * @param {{ port?: number, orNext?: boolean }} [options] As for `listen()`.
 */
export async function serve(options) {
  const text = await readFile(`${OUTPUT}/_headers`, 'utf8').catch(() => {
    throw new Error('the site is not built: run `cargo xtask docs`')
  })
  const rules = parseHeaders(text)
  async function handler(request, response) {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://site').pathname))
    // As on hosts, the file with the headers is not part of the site.
    const found = path === '/_headers' ? undefined : await find(path)
    const { path: file, bytes } = found ?? (await fileAt('/404.html'))
    const type = TYPES[extname(file)] ?? 'application/octet-stream'
    response.writeHead(found ? 200 : 404, {
      'Cache-Control': 'no-cache',
      'Content-Type': type,
      ...headersFor(rules, path),
    })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  }
  return listen({ host: 'localhost', handler, ...options })
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { origin } = await serve({ port: 4410, orNext: true })
  console.log(`\n  the documents     ${origin}\n\n  Ctrl-C ends it.\n`)
}
