/**
 * Serves the demo until it is stopped. `cargo xtask demo` builds the package and runs this script. With
 * `--vault-origin` the vault has its own origin. With `--edge` a token handler replaces the vault.
 */
import { ACCOUNTS } from '../tests/support/accounts.mjs'
import { OWN_CLIENT_ID, OWN_HANDLER } from '../tests/support/servers.mjs'
import { PORTS } from './build.mjs'
import { startDemo } from './demo.mjs'

const origins = (ports) => ports.flatMap((port) => [`http://localhost:${port}`, `http://127.0.0.1:${port}`])
/** The origins of apps at the default ports of development servers. */
const APPS = origins([5173, 4173, 3000])
/**
 * The origins of token handlers: the origins in `APPS`, the port in the guides, and the default ports of Cloudflare,
 * Deno and Astro.
 */
const HANDLERS = [...APPS, ...origins([8080, 8787, 8000, 4321])]

const [vaultOrigin, edge] = ['--vault-origin', '--edge'].map((option) => process.argv.includes(option))
const demo = await startDemo({
  ports: PORTS,
  orNext: true,
  apps: APPS,
  handlers: HANDLERS,
  vaultOrigin,
  edge,
})
const [account] = ACCOUNTS

const own = `
  your own app      client ${OWN_CLIENT_ID}, at localhost:5173, :4173 or :3000
  your own handler  client ${OWN_HANDLER.id}, secret ${OWN_HANDLER.secret}, also at :8080, :8787, :8000 or :4321`
const more = edge
  ? `\n  the handler       ${demo.site.origin}/auth, in workerd`
  : (vaultOrigin ? `\n  the vault         ${demo.vault.origin}` : '') + own

const hasMoved = new URL(demo.provider.issuer).port !== String(PORTS.provider)
const note = hasMoved
  ? '\n  Some ports were in use, so these addresses differ from those in the README.\n'
  : ''

console.log(`
  strongroom demo   ${demo.site.origin}

  sign in as        ${account.username}, password ${account.password}
  access tokens     last ${demo.provider.settings.accessTokenSeconds} seconds
  provider          ${demo.provider.issuer}
  API               ${demo.api.url}
  the comparison    ${demo.comparison.origin}, an app with its token in localStorage${more}
${note}
  Ctrl-C ends it.
`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await demo.close()
    process.exit(0)
  })
}
