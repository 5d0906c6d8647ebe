import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { platform } from './start.mjs'

/** The compatibility date: Cloudflare's runtime behaves as on this date. */
const COMPATIBILITY_DATE = '2026-04-01'

/** Bundling options for Cloudflare's runtime. */
export const WORKERD_BUNDLING = {
  name: 'entry.mjs',
  platform: 'neutral',
  conditions: ['workerd', 'worker', 'import', 'module'],
}

/** Cloudflare's runtime, without `nodejs_compat`. The isolates are workers that share one class of Durable Objects. */
export const workerd = platform({
  coordinators: ['durable-object', 'redis-rest', 'in-isolate'],
  entry: ({ imports, handler }) => `${imports}\nexport default ${handler}`,
  bundling: WORKERD_BUNDLING,
  serve: serveWorkers,
})

/** Implements `serve` for Cloudflare's runtime. */
export async function serveWorkers({ folder, file, wasm, env, isolates, port = 0 }) {
  const text = await readFile(file, 'utf8')
  const modules = [
    { type: 'ESModule', path: file, contents: text },
    ...(await Promise.all(
      wasm.map(async (path) => ({ type: 'CompiledWasm', path, contents: await readFile(path) })),
    )),
  ]
  const names = Array.from({ length: isolates }, (_none, index) => `isolate-${index}`)
  const hasObjects = text.includes('StrongroomSessions')
  const sessions = { className: 'StrongroomSessions', scriptName: names[0], useSQLite: true }
  // It is loaded here, because many tests import this file for other platforms, and loading takes a second.
  const { Log, LogLevel, Miniflare } = createRequire(import.meta.url)('miniflare')
  const runtime = new Miniflare({
    host: '127.0.0.1',
    port: 0,
    log: new Log(LogLevel.ERROR),
    workers: names.map((name, index) => ({
      name,
      modules,
      modulesRoot: folder,
      compatibilityDate: COMPATIBILITY_DATE,
      bindings: env,
      durableObjects: hasObjects ? { SESSIONS: sessions } : {},
      unsafeDirectSockets: [{ host: '127.0.0.1', port: index ? 0 : port }],
    })),
  })
  const stop = () => runtime.dispose()
  try {
    const urls = []
    for (const name of names) urls.push((await runtime.unsafeGetDirectURL(name)).origin)
    return { urls, stop }
  } catch (error) {
    await stop()
    throw new Error(`workerd did not start with ${basename(file)}: ${error.message}`, { cause: error })
  }
}
