import { fileURLToPath } from 'node:url'
import { bundle, newFolder } from './bundle.mjs'
import { startStore } from './stores.mjs'

/**
 * Returns a platform of `platforms.mjs`.
 *
 * @param {object} platform
 * @param {string[]} platform.coordinators
 * @param {(parts: { imports: string, handler: string, app: string }) => string} platform.entry Returns the source text
 *   of the platform's entry.
 * @param {object} platform.bundling Options for `bundle()`.
 * @param {(built: { folder: string, file: string, wasm: string[], env: Record<string, string>, isolates: number,
 *   port: number })
 *   => Promise<{ urls: string[], stop(): Promise<void> }>} platform.serve
 */
export const platform = ({ coordinators, entry, bundling, serve }) => ({
  coordinators,
  async start({ app, env = {}, isolates = 2, coordinator = coordinators[0], port = 0 }) {
    if (!coordinators.includes(coordinator))
      throw new Error(`it has no ${coordinator}: ${coordinators.join(', ')}`)
    const ends = []
    const stop = async () => {
      while (ends.length) await ends.pop()()
    }
    try {
      const folder = await newFolder()
      ends.push(folder.remove)
      const store = await startStore(coordinator, folder.path)
      let stopped
      const stopStore = () => (stopped ??= store.stop())
      ends.push(stopStore)
      const source = entry({
        imports: `${store.imports}\nimport app from ${JSON.stringify(fileURLToPath(app))}`,
        handler: `app(${store.coordinator})`,
      })
      const built = await bundle({ folder: folder.path, source, ...bundling })
      const running = await serve({
        folder: folder.path,
        ...built,
        env: { ...store.env, ...env },
        isolates,
        port,
      })
      ends.push(running.stop)
      return { urls: running.urls, store: { ...store, stop: stopStore }, stop }
    } catch (error) {
      await stop()
      throw error
    }
  },
})

/**
 * Returns `serve` for a platform that runs each isolate as a process. `start` starts one process, which reports its
 * port.
 */
export const processes = (start) => async (built) => {
  const started = await Promise.allSettled(Array.from({ length: built.isolates }, () => start(built)))
  const servers = started.filter(({ status }) => status === 'fulfilled').map(({ value }) => value)
  const stop = async () => void (await Promise.all(servers.map((server) => server.stop())))
  const failed = started.find(({ status }) => status === 'rejected')
  if (failed) {
    await stop()
    throw failed.reason
  }
  return { urls: servers.map(({ said }) => `http://127.0.0.1:${said.port}`), stop }
}
