import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { executable, startServer } from './child.mjs'
import { platform } from './start.mjs'

const packages = [
  '@deno/linux-x64-glibc/deno',
  '@deno/linux-arm64-glibc/deno',
  '@deno/darwin-arm64/deno',
  '@deno/darwin-x64/deno',
  '@deno/win32-x64/deno.exe',
  '@deno/win32-arm64/deno.exe',
]

/** A script that starts each isolate as a worker of the same entry, and prints the ports of all isolates. */
const MAIN = `
const port = () => new Promise((resolve, reject) => {
  const worker = new Worker(new URL('./entry.mjs', import.meta.url), { type: 'module' })
  worker.onmessage = ({ data }) => resolve(data)
  worker.onerror = reject
})
const ports = await Promise.all(Array.from({ length: Number(Deno.args[0]) }, port))
console.log(JSON.stringify({ ports }))
`

/**
 * The platform Deno, with Deno's own server. The isolates are workers of one process, each with its own server. They
 * cannot be separate processes, because only one process can use the file of a local Deno KV: when two processes write,
 * one gets "database is locked".
 */
export const deno = platform({
  coordinators: ['deno-kv', 'node-redis', 'redis-rest', 'in-isolate'],
  entry: ({ imports, handler }) => `
    ${imports}
    const handler = ${handler}
    const context = { waitUntil: (promise) => void promise.catch(console.error) }
    const onListen = ({ port }) => self.postMessage(port)
    const env = Deno.env.toObject()
    Deno.serve({ port: 0, hostname: '127.0.0.1', onListen }, (request) => handler.fetch(request, env, context))`,
  bundling: { name: 'entry.mjs', platform: 'node', conditions: ['deno', 'import', 'module'] },
  async serve({ folder, env, isolates }) {
    const main = join(folder, 'main.mjs')
    await writeFile(main, MAIN)
    const flags = ['--quiet', '--no-config', '--no-remote', '--unstable-kv', '--allow-all']
    const { said, stop } = await startServer(
      executable('Deno', packages),
      ['run', ...flags, main, `${isolates}`],
      { env: { ...env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: '1' }, cwd: folder },
    )
    return { urls: said.ports.map((port) => `http://127.0.0.1:${port}`), stop }
  },
})
