import { execFile } from 'node:child_process'
import { chown, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { start } from './child.mjs'
import { freePort } from '../listen.mjs'
import { readGuide } from '../../recipes/guide.mjs'

/** The user and group of the server if this process is root's, because PostgreSQL refuses to run as root: `nobody`. */
const USER = process.getuid?.() === 0 ? 65534 : undefined

/**
 * Starts a real PostgreSQL on loopback, with the table of docs/edge-deploy.md.
 *
 * @returns {Promise<{ url: string, shutDown(): Promise<void>, startAgain(): Promise<void>, stop(): Promise<void> }>}
 */
export async function startPostgres() {
  const command = await realpath(process.env.POSTGRES_PATH ?? '/usr/lib/postgresql/15/bin/postgres')
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-postgres-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    if (USER) await chown(folder, USER, USER)
    const env = { PATH: process.env.PATH, LC_ALL: 'C' }
    const data = join(folder, 'data')
    const init = ['-D', data, '-U', 'strongroom', '-A', 'trust', '-E', 'UTF8', '--no-sync']
    await promisify(execFile)(join(dirname(command), 'initdb'), init, {
      env,
      cwd: folder,
      uid: USER,
      gid: USER,
    })
    const port = await freePort()
    const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off']
    const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])]
    const run = async () => {
      const isReady = (line) => line.includes('ready to accept connections')
      const options = { env, cwd: folder, user: USER, output: 'stderr', isReady, endBy: 'SIGQUIT' }
      const server = start(command, args, options)
      await server.firstLine
      return server
    }
    let server = await run()
    const url = `postgres://strongroom@127.0.0.1:${port}/postgres`
    const guide = await readGuide('docs/edge-deploy.md')
    await execute(url, guide.block('create table strongroom'))
    return {
      url,
      /** Ends the server as `systemctl stop` does: connections are closed. */
      shutDown: () => server.end('SIGINT'),
      async startAgain() {
        server = await run()
      },
      async stop() {
        await server.stop()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Sends SQL, on a connection of its own. Resolves with the rows. */
export async function execute(url, sql, values) {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(sql, values)).rows
  } finally {
    await client.end()
  }
}
