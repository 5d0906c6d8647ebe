import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(import.meta.url)

/**
 * Finds the executable that an npm package provides for this machine. Some packages would create the executable with an
 * install script, which does not run here.
 *
 * @param {string} what Name of the executable, for the error message.
 * @param {string[]} candidates Paths of files in packages. One of these files fits this machine.
 */
export function executable(what, candidates) {
  for (const candidate of candidates) {
    try {
      return require.resolve(candidate)
    } catch {
      // This package is for another kind of machine.
    }
  }
  throw new Error(
    `${what} is not there for ${process.platform}-${process.arch}: npm installs it with one of the packages ` +
      `${candidates.join(', ')}, which \`npm ci --include=optional\` brings where there is one for this machine`,
  )
}

/**
 * Starts a server whose first line on standard output is JSON, such as `{"port": …}`.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env: Record<string, string>, cwd: string }} options
 * @returns {Promise<{ said: any } & ReturnType<typeof start>>}
 */
export async function startServer(command, args, { env, cwd }) {
  const child = start(command, args, { env: { PATH: process.env.PATH, HOME: cwd, ...env }, cwd })
  return { ...child, said: JSON.parse(await child.firstLine) }
}

/**
 * Starts a program that ends with this process, by the signal `endBy`. With `user`, the program runs as this user.
 * `output` is the stream with the line that says that the program is ready.
 *
 * @returns {{ firstLine: Promise<string>, throwIfEnded(): void, pid: number, pause(): void, goOn(): void,
 *   end(signal: NodeJS.Signals): Promise<{ code: number | null, signal: string | null }>, stop(): Promise<void> }} If the
 *   program ends by itself, the promises reject with the program's whole output.
 */
export function start(
  command,
  args,
  { env, cwd, user, output = 'stdout', isReady = () => true, endBy = 'SIGKILL' },
) {
  if (!existsSync(command)) throw new Error(`${command} is not there`)
  const child = spawn(command, args, { env, cwd, uid: user, gid: user, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = []
  let stopping = false
  let failure
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data))
  const lines = createInterface({ input: child[output] })
  const exited = once(child, 'exit')
  const kill = () => child.kill(endBy)
  process.once('exit', kill)
  const firstLine = new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      if (isReady(line)) resolve(line)
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      process.off('exit', kill)
      const error = new Error(
        `${command} ended with ${signal ?? code} and said:\n${said.join('').slice(-4000)}`,
      )
      failure = error
      reject(error)
      if (!stopping) console.error(error.message)
    })
  })
  // Not every caller waits for a line.
  firstLine.catch(() => {})
  return {
    firstLine,
    /** Throws if the program has ended: a wait for it would never end. */
    throwIfEnded() {
      if (failure) throw failure
    },
    pid: child.pid,
    /** Suspends the process until `goOn()`, so that it responds to nobody. */
    pause: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    /** Sends a signal that ends the program, and resolves when it has ended. */
    async end(signal) {
      stopping = true
      child.kill(signal)
      const [code, endedBy] = await exited
      return { code, signal: endedBy }
    },
    async stop() {
      stopping = true
      kill()
      await exited
    },
  }
}
