/** A file that the page needs later fails, as from a server that restarts. Firefox keeps this failure. */
import { startLogin } from '../../support/engines/app.mjs'

async function startLoginAfterFailures({ app, visit }) {
  const badGateway = { status: 502, headers: { 'Content-Type': 'text/html' }, body: '502', times: 2 }
  app.site.override('/strongroom/login.js', badGateway)
  const { tab } = await visit()
  await startLogin(tab)
}

/** @type {import('../suite.mjs').Group[]} */
export const oneFailure = [
  {
    name: 'one failure',
    capabilities: [
      { name: 'login although the server fails twice for a file of the page', see: startLoginAfterFailures },
    ],
  },
]
