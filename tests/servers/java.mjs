/** Runs Maven and Java for servers that are written in Java. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Missing } from './install.mjs'

const run = promisify(execFile)

/** The oldest Java that all these servers support. */
const OLDEST = 17

/** Returns the command for a program of the JDK: the one in `JAVA_HOME` if there is one, or the one in `PATH`. */
export const jdk = (program) => (process.env.JAVA_HOME ? `${process.env.JAVA_HOME}/bin/${program}` : program)

/** Rejects with `Missing` if this machine lacks a JDK or Maven. */
export async function needJava() {
  const needs = `it needs a JDK from version ${OLDEST} and Maven`
  const { stdout } = await run(jdk('javac'), ['-version']).catch((error) => {
    throw new Missing(`${needs}, and \`javac -version\` failed: ${error.message}`)
  })
  const [version] = /\d+/.exec(stdout) ?? ['unknown']
  if (!(Number(version) >= OLDEST)) throw new Missing(`${needs}, and this JDK has version ${version}`)
  await run('mvn', ['-version']).catch((error) => {
    throw new Missing(`${needs}, and \`mvn -version\` failed: ${error.message}`)
  })
}

/** Runs Maven in a folder. Rejects with `Missing` if Maven cannot download what it needs. */
export async function maven(folder, ...args) {
  await run('mvn', ['--batch-mode', '--quiet', ...args], { cwd: folder }).catch((error) => {
    const [reason] = /Could not (transfer|find) .+/.exec(error.stdout) ?? []
    throw reason ? new Missing(`Maven reports: ${reason}`) : new Error(error.message + error.stdout)
  })
}
