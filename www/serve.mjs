/**
 * Serves the demo until it is stopped. `cargo xtask demo` builds the package and runs this script. With
 * `--vault-origin` the vault has its own origin. With `--edge` a token handler replaces the vault, and there is a page on
 * which cookies are copied. With `--browser` this page is on https, and a Chromium opens it that binds sessions.
 */
import { ACCOUNTS } from '../tests/support/accounts.mjs'
import { launchBrowser } from '../tests/support/browser.mjs'
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

const [vaultOrigin, edge, browser] = ['--vault-origin', '--edge', '--browser'].map((option) =>
  process.argv.includes(option),
)
const demo = await startDemo({
  ports: PORTS,
  orNext: true,
  apps: APPS,
  handlers: HANDLERS,
  vaultOrigin,
  edge,
  // On plain http, the page needs no certificate, but browsers bind no session.
  theft: edge ? { secure: browser } : undefined,
})
const [account] = ACCOUNTS

const own = `
  your own app      client ${OWN_CLIENT_ID}, at localhost:5173, :4173 or :3000
  your own handler  client ${OWN_HANDLER.id}, secret ${OWN_HANDLER.secret}, also at :8080, :8787, :8000 or :4321`
const more = edge
  ? `\n  the handler       ${demo.site.origin}/auth, in workerd
  a theft           ${demo.theft.origin}, where somebody copies your cookies${browser ? '' : ' (--browser binds a session)'}`
  : (vaultOrigin ? `\n  the vault         ${demo.vault.origin}` : '') + own

const hasMoved = new URL(demo.provider.issuer).port !== String(PORTS.provider)
const note = hasMoved
  ? '\n  Some ports were in use, so these addresses differ from those in the documents.\n'
  : ''

console.log(`
  strongroom demo   ${demo.site.origin}

  sign in as        ${account.username}, password ${account.password}
  access tokens     last ${demo.provider.settings.accessTokenSeconds} seconds
  provider          ${demo.provider.issuer}
  API               ${demo.api.url}
  the comparison    ${demo.comparison.origin}, an app with its token in localStorage
  the exits         ${demo.exits.origin}, where script tries ten ways to send a name away${more}
${note}
  Ctrl-C ends it.
`)

const chromium = browser ? await openWindow().catch(giveUp) : undefined

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await chromium?.close()
    await demo.close()
    process.exit(0)
  })
}

/** Opens the page of the theft in a Chromium that binds its sessions. */
async function openWindow() {
  const launched = await launchBrowser({
    headless: false,
    args: demo.theft.chromium,
    handleSIGINT: false,
    handleSIGTERM: false,
  })
  const context = await launched.newContext({ viewport: null })
  const page = await context.newPage()
  await page.goto(demo.theft.origin)
  return launched
}

async function giveUp({ message }) {
  console.error(`error: Chromium did not open a window: ${message.split('\n')[0]}`)
  console.error(
    'Without a screen, `cargo xtask demo --edge --check` takes the same steps, and prints the result.',
  )
  await demo.close()
  process.exit(1)
}
