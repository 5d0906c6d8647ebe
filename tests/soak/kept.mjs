// What the provider keeps when its process is killed: files to which each change is appended before the provider responds.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Ledger } from '../support/ledger.mjs'

/** Returns the values of a file with one JSON value on each line. */
export const readLines = (file) =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : []

/** Appends a value to such a file. */
export const appendLine = (file, value) => appendFileSync(file, `${JSON.stringify(value)}\n`)

/** The rows of the provider's storage: see `createStore()`. */
export class KeptRows extends Map {
  #file

  constructor(file) {
    super()
    for (const [key, row] of readLines(file)) {
      if (row) super.set(key, row)
      else super.delete(key)
    }
    this.#file = file
  }

  set(key, row) {
    appendLine(this.#file, [key, row])
    return super.set(key, row)
  }

  delete(key) {
    appendLine(this.#file, [key, null])
    return super.delete(key)
  }
}

/** The provider's ledger. */
export class KeptLedger extends Ledger {
  #file

  constructor(file) {
    super()
    this.entries = readLines(file)
    this.#file = file
  }

  record(entry) {
    appendLine(this.#file, entry)
    super.record(entry)
  }
}

/** Resolves with the value in a file. `make` makes it at the first start. */
export async function keptValue(file, make) {
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(await make()))
  return JSON.parse(readFileSync(file, 'utf8'))
}
