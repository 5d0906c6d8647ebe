/**
 * Navigates to the provider and handles the return: with the vault that all tabs share, or with one new vault before
 * and another after the navigation, as in browsers that end the worker with its last page. Afterwards the page may run
 * comparisons, in the tab that started the worker.
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
