// This import comes first, because the recorder must run before the first port is created.
import 'strongroom/inspector/record'
import { connect, connectFrame, type Holding, type Strongroom } from 'strongroom'
import 'strongroom/inspector'
import { home } from './addresses.js'
import { setUpCalls } from './calls.js'
import { searchComparison, setUpComparison } from './comparison.js'
import { byId } from './dom.js'
import { setUpSample } from './sample.js'
import { setUpSession, showSession } from './session-panel.js'
import { showTrouble } from './error-banner.js'
import { startWorker } from './worker-url.js'

async function start(): Promise<void> {
  const inspector = document.querySelector('strongroom-inspector')!
  setUpComparison()
  inspector.addEventListener('search', searchComparison)
  setUpSample()
  const auth = await (FRAME ? connectFrame(FRAME) : connect(HANDLER || startWorker()))
  Object.assign(window, { auth })
  inspector.auth = auth
  setUpSession(auth)
  setUpCalls(auth)
  await finishLogin(auth)
  keepShowing(auth)
}

async function finishLogin(auth: Strongroom): Promise<void> {
  try {
    const result = await auth.handleCallback()
    if (!result) return
    history.replaceState(null, '', result.returnTo)
  } catch (error) {
    showTrouble(error)
    history.replaceState(null, '', home)
  }
}

/** Shows the state after each change, and once a second, because the page shows remaining times. */
function keepShowing(auth: Strongroom): void {
  let holdings: Holding[] | null = []
  let asked = false
  const show = () => showSession(auth, holdings)
  const look = async () => {
    if (asked) return
    asked = true
    await new Promise((resolve) => setTimeout(resolve, 50))
    asked = false
    holdings = await auth.inspect().catch(() => null)
    show()
  }
  auth.on('change', () => void look())
  auth.on('trace', () => void look())
  auth.on('failed', showTrouble)
  setInterval(show, 1000)
  show()
  void look()
}

start().catch((error: unknown) => {
  showTrouble(error)
  byId('who').textContent = 'Not connected'
  document.body.dataset.state = 'failed'
})
