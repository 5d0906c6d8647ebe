import { executable, startServer } from './child.mjs'
import { platform, processes } from './start.mjs'

/** The packages with Bun's executable for each kind of machine. */
export const packages = [
  '@oven/bun-linux-x64/bin/bun',
  '@oven/bun-linux-aarch64/bin/bun',
  '@oven/bun-linux-x64-musl/bin/bun',
  '@oven/bun-linux-aarch64-musl/bin/bun',
  '@oven/bun-darwin-aarch64/bin/bun',
  '@oven/bun-darwin-x64/bin/bun',
  '@oven/bun-windows-x64/bin/bun.exe',
  '@oven/bun-windows-aarch64/bin/bun.exe',
]

/** The platform Bun: the handler runs on Bun's own server, with Bun's own Redis client. Each isolate is a process. */
export const bun = platform({
  coordinators: ['bun-redis', 'redis-rest', 'in-isolate'],
  entry: ({ imports, handler }) => `
    ${imports}
    const handler = ${handler}
    const context = { waitUntil: (promise) => void promise.catch(console.error) }
    const fetch = (request) => handler.fetch(request, process.env, context)
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      fetch,
    })
    console.log(JSON.stringify({ port: server.port }))`,
  bundling: { name: 'entry.mjs', platform: 'node', conditions: ['bun', 'import', 'module'] },
  serve: processes(({ folder, file, env }) =>
    startServer(executable('Bun', packages), ['run', file], {
      env: { ...env, BUN_INSTALL: folder, DO_NOT_TRACK: '1' },
      cwd: folder,
    }),
  ),
})
