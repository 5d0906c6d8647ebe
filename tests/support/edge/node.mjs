import { startServer } from './child.mjs'
import { platform, processes } from './start.mjs'

/** The parts of the platform Node, for tests that start its processes in another way. */
export const PARTS = {
  coordinators: ['node-redis', 'ioredis', 'pg', 'redis-rest', 'in-isolate'],
  entry: ({ imports, handler }) => `
    import { createServer } from 'node:http'
    import { toNodeListener } from 'strongroom/edge/node'
    ${imports}
    const server = createServer(toNodeListener(${handler}))
    server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))`,
  bundling: { name: 'entry.mjs', platform: 'node', conditions: ['node', 'module'] },
}

/**
 * The platform Node: `strongroom/edge/node` connects the handler to Node's own HTTP server. Each isolate is a process.
 */
export const node = platform({
  ...PARTS,
  serve: processes(({ folder, file, env }) => startServer(process.execPath, [file], { env, cwd: folder })),
})
