/** Serves the demo until it is told to stop. `cargo xtask demo` builds the package and runs this. */
import { ACCOUNTS } from '../tests/support/accounts.mjs'
import { PORTS } from './build.mjs'
import { startDemo } from './demo.mjs'

const demo = await startDemo({ ports: PORTS, orNext: true })
const [account] = ACCOUNTS

console.log(`
  strongroom demo   ${demo.site.origin}

  sign in as        ${account.username}, password ${account.password}
  access tokens     last ${demo.provider.settings.accessTokenSeconds} seconds
  provider          ${demo.provider.issuer}
  API               ${demo.api.url}

  Ctrl-C ends it.
`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await demo.close()
    process.exit(0)
  })
}
