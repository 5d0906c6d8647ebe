#!/usr/bin/env node
/**
 * The program of the package. `npx strongroom doctor URL` looks at a deployment from outside (docs/doctor.md), and
 * `npx strongroom metadata ISSUER` writes the provider's metadata into a file of the app (docs/pinned-metadata.md).
 *
 * @module
 */
import process, { argv, stderr, stdout } from 'node:process'
import * as doctorLine from './command-line.js'
import { examine } from './examine.js'
import { Failure, UsageError } from './options.js'
import * as metadataLine from './metadata/command-line.js'
import { pinMetadata } from './metadata/command.js'

/** The text that a command prints, and its exit status. */
interface Result {
  text: string
  status: number
}

const COMMANDS: Record<string, { usage: string; run: (args: string[]) => Promise<Result | 'help'> }> = {
  doctor: {
    usage: doctorLine.USAGE,
    run: async (args) => {
      const options = doctorLine.readCommandLine(args)
      if (options === 'help') return options
      const { text, hasFaults } = await examine(options)
      return { text, status: hasFaults ? 1 : 0 }
    },
  },
  metadata: {
    usage: metadataLine.USAGE,
    run: async (args) => {
      const options = metadataLine.readCommandLine(args)
      if (options === 'help') return options
      const { text, differs } = await pinMetadata(options)
      return { text, status: differs ? 1 : 0 }
    },
  },
}

const names = Object.keys(COMMANDS)
const [name, ...args] = argv.slice(2)

const runCommand = async (): Promise<Result> => {
  if (name === undefined || name === '--help' || name === '-h') {
    return { text: names.map((one) => COMMANDS[one]!.usage).join('\n\n'), status: 0 }
  }
  if (!names.includes(name)) {
    throw new UsageError(
      `there is no command '${name}', only ${names.map((one) => `'${one}'`).join(' and ')}`,
    )
  }
  const { usage, run } = COMMANDS[name]!
  const result = await run(args)
  return result === 'help' ? { text: usage, status: 0 } : result
}

try {
  const { text, status } = await runCommand()
  stdout.write(text)
  // `process.exit()` would cut a long report that a pipe has not taken yet.
  if (status) process.exitCode = status
} catch (error) {
  process.exitCode = 2
  const { message, stack } = error as Error
  if (error instanceof UsageError) {
    const command = names.includes(name!) ? `${name} ` : ''
    stderr.write(`strongroom: ${message}\n\nstrongroom ${command}--help lists the options.\n`)
  } else if (error instanceof Failure) {
    stderr.write(`strongroom: ${message}\n`)
  } else {
    stderr.write(`strongroom: the program itself has failed. Please report this.\n\n${stack}\n`)
  }
}
