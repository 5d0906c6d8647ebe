import { createClient } from '@redis/client'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from './child.mjs'
import { freePort, listen } from '../listen.mjs'
import { until } from '../until.mjs'

const command = process.env.REDIS_SERVER_PATH ?? '/usr/bin/redis-server'

/**
 * Starts a real Redis on loopback. By default, the Redis is empty and keeps its data only in memory.
 *
 * @param {{ port?: number, kept?: string, primary?: number, more?: string[] }} [options] `kept` is a folder in which the
 *   Redis keeps its data, which a later start finds there. `primary` is the port of the Redis that this one copies. `more`
 *   has more arguments.
 * @returns {Promise<{ url: string, pause(): void, goOn(): void, promote(): Promise<void>, stop(): Promise<void> }>}
 */
export async function startRedis({ port, kept, primary, more = [] } = {}) {
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'strongroom-redis-')))
  port ??= await freePort()
  const args = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--dir',
    folder,
    '--save',
    '',
    '--appendonly',
    kept ? 'yes' : 'no',
    ...(primary ? ['--replicaof', `127.0.0.1 ${primary}`] : []),
    ...more,
  ]
  const isReady = (line) => /ready to accept connections/i.test(line)
  const server = start(command, args, { env: { PATH: process.env.PATH }, cwd: folder, isReady })
  await server.firstLine
  return {
    url: `redis://127.0.0.1:${port}`,
    pause: server.pause,
    goOn: server.goOn,
    /** Makes a replica a primary. */
    promote: async () => void (await ask(port, 'REPLICAOF', 'NO', 'ONE')),
    async stop() {
      await server.stop()
      if (!kept) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Sends a command to the Redis at a port. */
const ask = async (port, ...command) => {
  const client = createClient({ url: `redis://127.0.0.1:${port}` }).on('error', () => {})
  await client.connect()
  try {
    return await client.sendCommand(command)
  } finally {
    client.destroy()
  }
}

const NODES = 3
const SLOTS = 16_384

/**
 * Starts a cluster of Redis servers.
 *
 * @returns {Promise<{ ports: number[], nodeOf(key: string): Promise<number>, stop(): Promise<void> }>} `nodeOf` resolves with
 *   the index of the node that has a key.
 */
export async function startRedisCluster() {
  const nodes = await Promise.all(
    Array.from({ length: NODES }, async () => {
      const [port, bus] = [await freePort(), await freePort()]
      const more = ['--cluster-enabled', 'yes', '--cluster-port', `${bus}`]
      return { port, bus, ...(await startRedis({ port, more })) }
    }),
  )
  const first = (index) => Math.ceil((index * SLOTS) / NODES)
  const ports = nodes.map(({ port }) => port)
  for (const [index, { port }] of nodes.entries()) {
    await ask(port, 'CLUSTER', 'ADDSLOTSRANGE', `${first(index)}`, `${first(index + 1) - 1}`)
    await ask(ports[0], 'CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${nodes[index].bus}`)
  }
  for (const port of ports) {
    const isReady = async () => {
      const info = await ask(port, 'CLUSTER', 'INFO')
      return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${NODES}`)
    }
    await until(isReady)
  }
  return {
    ports,
    async nodeOf(key) {
      const slot = await ask(ports[0], 'CLUSTER', 'KEYSLOT', key)
      return ports.findIndex((_port, index) => slot < first(index + 1))
    },
    stop: async () => void (await Promise.all(nodes.map(({ stop }) => stop()))),
  }
}

/**
 * Starts a Redis, and a sentinel that watches it.
 *
 * @returns {Promise<{ name: string, port: number, stop(): Promise<void> }>} The name of the Redis, and the sentinel's port.
 */
export async function startRedisSentinel() {
  const name = 'sessions'
  const [primary, folder, port] = [
    await startRedis(),
    await mkdtemp(join(tmpdir(), 'strongroom-sentinel-')),
    await freePort(),
  ]
  const file = join(folder, 'sentinel.conf')
  const watched = `sentinel monitor ${name} 127.0.0.1 ${new URL(primary.url).port} 1`
  await writeFile(file, `port ${port}\nbind 127.0.0.1\n${watched}\n`)
  const isReady = (line) => /\+monitor/.test(line)
  const env = { PATH: process.env.PATH }
  const server = start(command, [file, '--sentinel'], { env, cwd: folder, isReady })
  await server.firstLine
  return {
    name,
    port,
    async stop() {
      await server.stop()
      await primary.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * Starts an HTTP server in front of a Redis, like the services for platforms without sockets. A POST request contains a
 * command as a JSON array, and the response is `{ result }` or `{ error }`.
 *
 * @param {string} url URL of the Redis.
 * @returns {Promise<{ url: string, token: string, commands: string[], stop(): Promise<void> }>} `commands`: the names
 *   of the commands received.
 */
export async function startRedisRest(url) {
  const client = createClient({ url, disableOfflineQueue: true })
  client.on('error', () => {})
  await client.connect()
  const token = 'token-of-the-store'
  const commands = []
  const server = await listen({
    async handler(request, response) {
      const answer = (status, body) => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(body))
      }
      if (request.headers.authorization !== `Bearer ${token}`) return answer(401, { error: 'Unauthorized' })
      const pieces = []
      for await (const piece of request) pieces.push(piece)
      const command = JSON.parse(Buffer.concat(pieces).toString())
      commands.push(command[0])
      try {
        answer(200, { result: await client.sendCommand(command) })
      } catch (error) {
        answer(400, { error: error.message })
      }
    },
  })
  return {
    url: server.origin,
    token,
    commands,
    async stop() {
      client.destroy()
      await server.close()
    },
  }
}
