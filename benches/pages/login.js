/**
 * Navigates to the provider and handles the return. The parameter `vault` selects an entry of `VAULTS`. With `new`, the
 * page uses one new vault before the navigation and another new vault after it, as in browsers that end a worker with
 * its last page. After the return, the page runs the comparisons that the parameter `measures` names.
 */
import { compare } from './compare.js'
import { connectNew, connectProving, connectSealed, connectShared, parameters, report } from './connect.js'

const isBack = location.pathname === '/callback'
if (!isBack) sessionStorage.setItem('trip', JSON.stringify(parameters))
const trip = JSON.parse(sessionStorage.getItem('trip'))

const VAULTS = { new: connectNew, proving: connectProving, sealed: connectSealed, shared: connectShared }
const auth = await VAULTS[trip.vault](`${trip.id} ${isBack}`)
if (isBack) report(arrive, trip.id)
else auth.login()

async function arrive() {
  await auth.handleCallback()
  const session = performance.now()
  const api = trip.vault === 'proving' ? PROVEN_API : API
  const response = await auth.fetch(`${api}orders`)
  await response.body.getReader().read()
  const firstByte = performance.now()
  return { session, firstByte, ...(trip.measures && (await compare(auth, trip))) }
}
