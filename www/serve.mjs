/**
 * Serves the demo until it is told to stop. `cargo xtask demo` builds the package and runs this. With `--vault-origin`
 * the vault has an origin of its own.
 */
import { ACCOUNTS } from '../tests/support/accounts.mjs'
import { OWN_CLIENT_ID } from '../tests/support/servers.mjs'
import { PORTS } from './build.mjs'
import { startDemo } from './demo.mjs'

/** Where development servers listen if nobody tells them otherwise. */
const APPS = [5173, 4173, 3000].flatMap((port) => [`http://localhost:${port}`, `http://127.0.0.1:${port}`])

const vaultOrigin = process.argv.includes('--vault-origin')
const demo = await startDemo({ ports: PORTS, orNext: true, apps: APPS, vaultOrigin })
const [account] = ACCOUNTS

console.log(`
  strongroom demo   ${demo.site.origin}

  sign in as        ${account.username}, password ${account.password}
  access tokens     last ${demo.provider.settings.accessTokenSeconds} seconds
  provider          ${demo.provider.issuer}
  API               ${demo.api.url}${vaultOrigin ? `\n  the vault         ${demo.vault.origin}` : ''}
  your own app      client ${OWN_CLIENT_ID}, at localhost:5173, :4173 or :3000

  Ctrl-C ends it.
`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await demo.close()
    process.exit(0)
  })
}
