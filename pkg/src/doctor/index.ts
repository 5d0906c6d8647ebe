#!/usr/bin/env node
/**
 * The program of the package: `npx strongroom doctor URL` looks at a deployment from outside. docs/doctor.md shows how
 * to use it.
 *
 * @module
 */
import process, { argv, stderr, stdout } from 'node:process'
import { readCommandLine, USAGE } from './command-line.js'
import { examine } from './examine.js'
import { UsageError } from './options.js'

try {
  const options = readCommandLine(argv.slice(2))
  if (options === 'help') {
    stdout.write(USAGE)
  } else {
    const { text, hasFaults } = await examine(options)
    stdout.write(text)
    // `process.exit()` would cut a long report that a pipe has not taken yet.
    if (hasFaults) process.exitCode = 1
  }
} catch (error) {
  process.exitCode = 2
  if (error instanceof UsageError) {
    stderr.write(`strongroom: ${error.message}\n\nstrongroom doctor --help lists the options.\n`)
  } else {
    stderr.write(
      `strongroom: the doctor itself has failed. Please report this.\n\n${(error as Error).stack}\n`,
    )
  }
}
