/** The vault's origin as docs/vault-origin.md sets it up: hosts and headers. */
import { readFileSync } from 'node:fs'

/** Two host names of this machine that belong to one site: browsers resolve all names below `localhost`. */
export const VAULT_HOSTS = { app: 'app.strongroom.localhost', vault: 'vault.strongroom.localhost' }

const GUIDE = new URL('../../docs/vault-origin.md', import.meta.url)

/** The names of these origins in the guide. */
const NAMES = {
  app: 'https://app.example.com',
  issuer: 'https://id.example.com',
  api: 'https://api.example.com',
}

/** Paths of the guide that are served from a file with another name. */
const FILES = { '/callback': '/callback.html' }

/**
 * Returns the headers of the guide, by path, with the guide's origins replaced by these.
 *
 * @param {{ app: string, issuer: string, api: string }} origins
 * @returns {Record<string, Record<string, string>>}
 */
export function vaultHeaders(origins) {
  const [, block] = /```\n(\/frame\.html\n[^]*?)```/.exec(readFileSync(GUIDE, 'utf8'))
  const headers = {}
  let path
  for (const line of block.trimEnd().split('\n')) {
    if (line.startsWith('/')) headers[(path = FILES[line] ?? line)] = {}
    else {
      const [name, value] = line.trim().split(/: (.*)/)
      headers[path][name] = Object.entries(NAMES).reduce(
        (text, [role, origin]) => text.replaceAll(origin, origins[role]),
        value,
      )
    }
  }
  return headers
}
