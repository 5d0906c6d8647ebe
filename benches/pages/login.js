/**
 * Leaves for the provider, or comes back from it: with the vault that all tabs share, or with one that is
 * started on either side of the trip, as after a trip that took longer than a browser keeps a worker.
 */
import { connectCold, connectShared, parameter, report } from './room.js'

const isBack = location.pathname === '/callback'
if (!isBack) sessionStorage.setItem('trip', JSON.stringify({ id: parameter('id'), kind: parameter('kind') }))
const { id, kind } = JSON.parse(sessionStorage.getItem('trip'))

const room = await (kind === 'cold' ? connectCold(`${id} ${isBack}`) : connectShared())
if (isBack) report(arrive, id)
else room.login()

async function arrive() {
  const handshake = performance.now()
  await room.handleCallback()
  const session = performance.now()
  const response = await room.fetch(`${API}orders`)
  await response.body.getReader().read()
  return { handshake, session, firstByte: performance.now() }
}
