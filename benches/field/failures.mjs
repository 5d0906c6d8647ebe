/** The failures, in the order of the table. */
import { backAfterLogout, backToSignIn } from './failures/back.mjs'
import { clockAhead, clockBehind } from './failures/clock.mjs'
import { eightTabs } from './failures/eight-tabs.mjs'
import { longSleep } from './failures/long-sleep.mjs'
import { lostResponse, lostResponseLeeway } from './failures/lost-response.mjs'
import { nullMember } from './failures/null-member.mjs'
import { logoutElsewhere, otherUser } from './failures/other-tab.mjs'
import { captivePortal, unavailable } from './failures/outage.mjs'
import { parallelCalls } from './failures/parallel-calls.mjs'
import { refusedToken } from './failures/refused-token.mjs'
import { reload } from './failures/reload.mjs'

/** @type {import('./world.mjs').Failure[]} */
export const FAILURES = [
  parallelCalls,
  eightTabs,
  reload,
  unavailable,
  captivePortal,
  lostResponse,
  lostResponseLeeway,
  longSleep,
  clockBehind,
  clockAhead,
  logoutElsewhere,
  otherUser,
  backToSignIn,
  backAfterLogout,
  nullMember,
  refusedToken,
]
