/**
 * The vault's database in IndexedDB. Opening a database takes longer than reading from it, so it is opened when the
 * worker's file runs, while the module is loaded, and it stays open.
 *
 * An open database cannot be deleted. If another vault, the browser or script of the page asks for it, this vault lets its
 * operations finish and closes the database. Its next operation opens it again.
 */
import { KEYS, LOGINS } from '../../glue/constants.js'

const NAME = 'strongroom'
const VERSION = 1

/** The right of an operation to use the database. */
export interface Lease {
  readonly opened: Promise<IDBDatabase>
  /** Gives the database back. The browser lets transactions finish before it closes. */
  end(): void
}

/** The database, as the core sees it. */
export interface VaultDatabase {
  /** Each lease must end. */
  lease(): Lease
  /** Lets the next operation open the database again, because an operation has failed and the connection may be dead. */
  forget(): void
  /** Begins to delete the database, which may be damaged. */
  remove(): IDBOpenDBRequest
}

interface Connection {
  opened: Promise<IDBDatabase>
  isOpen: boolean
  leases: number
}

/** The connection that the next operation uses. */
let current: Connection | undefined

const open = (onGone: () => void) =>
  new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(KEYS)
      request.result.createObjectStore(LOGINS, { keyPath: 'name' })
    }
    request.onsuccess = () => {
      // `close` means that the browser has closed the database, for instance because the user cleared the site's data.
      request.result.onversionchange = request.result.onclose = onGone
      resolve(request.result)
    }
    request.onerror = () => reject(request.error)
  })

const connect = (): Connection => {
  const onGone = () => leave(connection)
  const connection: Connection = { opened: open(onGone), isOpen: false, leases: 0 }
  connection.opened.then(() => (connection.isOpen = true), onGone)
  return connection
}

const leave = (connection: Connection) => {
  if (current === connection) current = undefined
  closeIfUnused(connection)
}

/** Closes a connection that no operation uses, and that no further operation will use. */
const closeIfUnused = (connection: Connection) => {
  if (connection !== current && !connection.leases) {
    connection.opened.then(
      (database) => database.close(),
      () => {},
    )
  }
}

export const database: VaultDatabase = {
  lease() {
    const connection = (current ??= connect())
    connection.leases++
    return {
      opened: connection.opened,
      end() {
        connection.leases--
        // The operation was canceled, or has waited too long. The next one tries again.
        if (!connection.isOpen) leave(connection)
        else closeIfUnused(connection)
      },
    }
  },
  forget: () => current && leave(current),
  remove: () => indexedDB.deleteDatabase(NAME),
}

/** Opens the database before the first operation needs it. */
export const openEarly = () => {
  current ??= connect()
}
