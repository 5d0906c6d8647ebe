import { signInResponse } from '../wire.mjs'
import { authenticatesBy } from './client_auth.mjs'
import { backChannelLogout, logout, providerLogout } from './end.mjs'
import { dpop } from './dpop.mjs'
import { refresh, refreshAgain, refreshInTwoTabs } from './refresh.mjs'
import {
  callApi,
  claims,
  firstSignIn,
  profile,
  signInByPopup,
  signInOnDevice,
  signInPushed,
} from './sign_in.mjs'
import { stepUp } from './step_up.mjs'
import { loseResponse, outage, presentOldToken, refreshAfterReuse, refusedRefresh } from './trouble.mjs'

/** Returns true if the latest sign-in has a refresh token. */
const canRefresh = (life) => Boolean(signInResponse(life).refresh_token)

const isVault = ({ kind }) => kind === 'vault'

/** Returns the step with a client authentication method. */
const clientAuth = (method) => ({
  name: method,
  applies: ({ clients }) => clients.some(({ auth }) => auth === method),
  run: authenticatesBy(method),
})

/**
 * A step resolves with what it found, for the table, or with nothing. A step without `applies` applies to all servers.
 *
 * @typedef {object} Step
 * @property {string} name
 * @property {(life: import('../life.mjs').Life) => unknown} [applies]
 * @property {(life: import('../life.mjs').Life) => Promise<string | void>} run
 * @property {(found: string) => string} [short] Returns what it found in a few words, for the table.
 */

/** @type {Step[]} The steps, in order. */
export const STEPS = [
  { name: 'sign-in', run: firstSignIn },
  { name: 'claims', run: claims, short: (found) => found.replace(/: [^,]*/g, '') },
  { name: 'API call', run: callApi },
  { name: 'refresh', run: refresh },
  { name: 'second refresh', applies: canRefresh, run: refreshAgain },
  { name: 'two tabs refresh at once', applies: canRefresh, run: refreshInTwoTabs },
  { name: 'old refresh token', applies: canRefresh, run: presentOldToken },
  { name: 'refresh after it', applies: canRefresh, run: refreshAfterReuse },
  { name: 'lost response', applies: canRefresh, run: loseResponse },
  { name: 'outage of 30 s', applies: canRefresh, run: outage },
  { name: 'revoked at the server', applies: canRevoke, run: refusedRefresh },
  { name: 'step-up', applies: ({ features }) => features.maxAge, run: stepUp },
  { name: 'logout', run: logout },
  { name: 'provider’s logout', applies: ({ features }) => features.providerLogout, run: providerLogout },
  {
    name: 'back-channel logout',
    applies: (life) => !isVault(life) && life.features.backChannelLogout,
    run: backChannelLogout,
  },
  { name: 'popup', run: signInByPopup },
  { name: 'pushed request', applies: ({ features }) => features.pushed, run: signInPushed },
  { name: 'device', applies: (life) => isVault(life) && life.features.device, run: signInOnDevice },
  { name: 'DPoP', applies: ({ features }) => features.dpop, run: dpop },
  {
    name: 'profile address',
    applies: ({ features }) => features.profile,
    run: profile,
    short: (found) => found.replace(/: [^,]*/g, ''),
  },
  ...['client_secret_basic', 'client_secret_post', 'private_key_jwt'].map(clientAuth),
]

/** Returns true if the driver can revoke the client's tokens, which it cannot do with a proof. */
function canRevoke(life) {
  const { config, client } = life
  const { revocation = true } = life.features
  const isPossible = revocation === 'with a secret' ? client.secret : revocation
  return canRefresh(life) && isPossible && !config.dpop
}
