// First: it has to be there before the first port.
import './recorder.js'
import { connect, connectFrame, type Holding, type Strongroom } from 'strongroom'
import { showBoundary } from './boundary.js'
import { byId } from './dom.js'
import { setUpCalls } from './calls.js'
import { setUpSearch } from './search-panel.js'
import { setUpSession, showSession } from './session-panel.js'
import { note, setUpTimeline } from './timeline.js'
import { showTrouble } from './trouble.js'
import { startWorker } from './worker-url.js'

async function start(): Promise<void> {
  setUpSearch()
  const room = await (FRAME ? connectFrame(FRAME) : connect(HANDLER || startWorker()))
  Object.assign(window, { room })
  setUpTimeline(room)
  setUpSession(room)
  setUpCalls(room)
  const joined = room.session
  await finishLogin(room)
  if (joined) note('Joined the session', 'it was there already: no login, no refresh', 'good')
  keepShowing(room)
}

async function finishLogin(room: Strongroom): Promise<void> {
  const start = Date.now()
  try {
    const result = await room.handleCallback()
    if (!result) return
    note('Back from the provider', 'the code is out of the address', 'plain', start)
    history.replaceState(null, '', result.returnTo)
  } catch (error) {
    showTrouble(error)
    history.replaceState(null, '', '/')
  }
}

/** Shows the state on each change, and once a second since times pass. */
function keepShowing(room: Strongroom): void {
  let holdings: Holding[] | null = []
  let asked = false
  const show = () => {
    showSession(room, holdings)
    void showBoundary(room, holdings)
  }
  const look = async () => {
    if (asked) return
    asked = true
    await new Promise((resolve) => setTimeout(resolve, 50))
    asked = false
    holdings = await room.inspect().catch(() => null)
    show()
  }
  room.on('change', () => void look())
  room.on('trace', () => void look())
  room.on('failed', (error) => {
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
