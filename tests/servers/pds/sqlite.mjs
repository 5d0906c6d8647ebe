/**
 * The part of better-sqlite3 that the PDS uses, with the SQLite of Node: an install script would have to compile the
 * package itself.
 */
import { DatabaseSync } from 'node:sqlite'

export default class Database {
  #database

  constructor(path) {
    this.#database = new DatabaseSync(path)
  }

  pragma(text) {
    this.#database.exec(`PRAGMA ${text}`)
  }

  prepare(sql) {
    const statement = this.#database.prepare(sql)
    return {
      reader: statement.columns().length > 0,
      all: (values) => statement.all(...values.map(toSqlite)),
      iterate: (values) => statement.iterate(...values.map(toSqlite)),
      run: (values) => statement.run(...values.map(toSqlite)),
    }
  }

  close() {
    this.#database.close()
  }
}

const toSqlite = (value) => (value === undefined ? null : value)
