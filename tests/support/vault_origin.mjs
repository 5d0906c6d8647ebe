/** The hosts and headers of a vault on its own origin, as in docs/vault-origin.md. */
import { readFileSync } from 'node:fs'

/** Two host names of this machine that belong to one site: browsers resolve all names below `localhost`. */
export const VAULT_HOSTS = { app: 'app.strongroom.localhost', vault: 'vault.strongroom.localhost' }

const GUIDE = new URL('../../docs/vault-origin.md', import.meta.url)

/** The origins that the guide uses as examples. */
const NAMES = {
  app: 'https://app.example.com',
  issuer: 'https://id.example.com',
  api: 'https://api.example.com',
}

/** Paths in the guide whose file has another name. */
const FILES = { '/callback': '/callback.html' }

/**
 * Returns the headers of the guide by path. The guide's example origins are replaced by `origins`.
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
