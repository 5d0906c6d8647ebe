import { createClient } from '@redis/client'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { start } from './child.mjs'
import { freePort, listen } from '../listen.mjs'

/**
 * Starts a real Redis on loopback. By default, the Redis is empty and keeps its data only in memory.
 *
 * @param {{ port?: number, kept?: string, primary?: number }} [options] `kept` is a folder in which the Redis keeps its
 *   data, which a later start finds there. `primary` is the port of the Redis that this one copies.
 * @returns {Promise<{ url: string, pause(): void, goOn(): void, promote(): Promise<void>, stop(): Promise<void> }>}
 */
export async function startRedis({ port, kept, primary } = {}) {
  const command = process.env.REDIS_SERVER_PATH ?? '/usr/bin/redis-server'
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
  ]
  const isReady = (line) => /ready to accept connections/i.test(line)
  const server = start(command, args, { env: { PATH: process.env.PATH }, cwd: folder, isReady })
  await server.firstLine
  return {
    url: `redis://127.0.0.1:${port}`,
    pause: server.pause,
    goOn: server.goOn,
    /** Makes a replica a primary. */
    async promote() {
      const client = createClient({ url: `redis://127.0.0.1:${port}` }).on('error', () => {})
      await client.connect()
      await client.sendCommand(['REPLICAOF', 'NO', 'ONE'])
      client.destroy()
    },
    async stop() {
      await server.stop()
      if (!kept) await rm(folder, { recursive: true, force: true })
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
