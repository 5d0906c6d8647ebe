#!/usr/bin/env node
/**
 * The program of the package. `npx strongroom doctor URL` looks at a deployment from outside (docs/doctor.md), and
 * `npx strongroom metadata ISSUER` writes the provider's metadata into a file of the app (docs/pinned-metadata.md).
 *
 * @module
 */
import { argv, exit, stderr, stdout } from 'node:process'
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

/** Ends the program, also if the module of a configuration keeps it alive. A pipe has taken the text before. */
const end = (stream: typeof stdout, text: string, status: number) => stream.write(text, () => exit(status))

try {
  const { text, status } = await runCommand()
  end(stdout, text, status)
} catch (error) {
  const { message, stack } = error as Error
  const command = names.includes(name!) ? `${name} ` : ''
  const text =
    error instanceof UsageError
      ? `${message}\n\nstrongroom ${command}--help lists the options.`
      : error instanceof Failure
        ? message
        : `the program itself has failed. Please report this.\n\n${stack}`
  end(stderr, `strongroom: ${text}\n`, 2)
}
