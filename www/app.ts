// This import comes first, because the recorder must run before the first port is created.
import './recorder.js'
import { connect, connectFrame, type Holding, type Strongroom } from 'strongroom'
import { home } from './addresses.js'
import { showBoundary } from './boundary.js'
import { setUpCalls } from './calls.js'
import { setUpComparison } from './comparison.js'
import { byId } from './dom.js'
import { setUpSample } from './sample.js'
import { setUpSearch } from './search-panel.js'
import { setUpSession, showSession } from './session-panel.js'
import { note, setUpTimeline } from './timeline.js'
import { showTrouble } from './error-banner.js'
import { startWorker } from './worker-url.js'

async function start(): Promise<void> {
  setUpSearch()
  setUpComparison()
  setUpSample()
  const auth = await (FRAME ? connectFrame(FRAME) : connect(HANDLER || startWorker()))
  Object.assign(window, { auth })
  setUpTimeline(auth)
  setUpSession(auth)
  setUpCalls(auth)
  const joined = auth.session
  await finishLogin(auth)
  if (joined) note('Joined the session', 'it already existed: no login, no refresh', 'good')
  keepShowing(auth)
}

async function finishLogin(auth: Strongroom): Promise<void> {
  const start = Date.now()
  try {
    const result = await auth.handleCallback()
    if (!result) return
    note('Back from the provider', 'the code is removed from the URL', 'plain', start)
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
  const show = () => {
    showSession(auth, holdings)
    void showBoundary(auth, holdings)
  }
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
  auth.on('failed', (error) => {
    showTrouble(error)
    note('The vault stopped', error.code, 'bad')
  })
  setInterval(show, 1000)
  show()
  void look()
}

start().catch((error: unknown) => {
  showTrouble(error)
  byId('who').textContent = 'Not connected'
  document.body.dataset.state = 'failed'
})
