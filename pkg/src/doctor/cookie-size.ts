/** The length of the session's cookie, as far as a token handler's configuration decides it. */
import { DEFAULT_SCOPE, MOST_PIECES, PIECE } from '../../glue/constants.js'
import type { HandlerConfig } from './deployment.js'

/** The bytes of a session's text besides tokens, scopes and key: its ID, times and line breaks (src/edge/session.rs). */
const TIMES = 105

/** The bytes of a DPoP key, a private JWK. */
const KEY = 176

/** The bytes that sealing adds: before the text a nonce, after it a tag. Then version and key ID come before base64url. */
const SEAL = 28
const PREFIX = '1.aaaaaaaa.'.length

/** Returns the bytes that all tokens of a session may have together, so that the cookie has this many pieces. */
const roomOf = ({ scope = DEFAULT_SCOPE, dpop }: HandlerConfig, pieces: number): number =>
  Math.floor(((pieces * PIECE - PREFIX) * 3) / 4) - SEAL - TIMES - scope.length - (dpop ? KEY : 0)

/** Returns what the configuration says about the length of the cookie, and why it does not say more. */
export const cookieSize = (config: HandlerConfig): string =>
  `only a login shows how long the tokens are. Up to ${roomOf(config, 1)} bytes of access, refresh and ID token (after a refresh perhaps a second one) need one cookie, which fits into the 4 KB of browsers and of nginx's proxy_buffer_size. Up to ${roomOf(config, MOST_PIECES)} bytes need two, and proxy_buffer_size 16k. Longer ones need session: { storage: 'in-store' }`
