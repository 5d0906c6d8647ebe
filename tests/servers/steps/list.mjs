import { callApi, claims, signIn } from './sign_in.mjs'
import { presentOldToken, refresh, refreshAfterReuse, refreshAgain } from './refresh.mjs'
import { logout } from './end.mjs'

/**
 * The steps, in order. Each resolves with what it found, for the table, or with nothing. A step that has no `applies`
 * applies to all servers.
 *
 * @type {{ name: string, applies?: (life: import('../life.mjs').Life) => unknown, run: (life:
 *   import('../life.mjs').Life) => Promise<string | void> }[]}
 */
export const STEPS = [
  { name: 'sign-in', run: signIn },
  { name: 'claims', run: claims },
  { name: 'API call', run: callApi },
  { name: 'refresh', run: refresh },
  { name: 'second refresh', run: refreshAgain },
  { name: 'old refresh token', run: presentOldToken },
  { name: 'refresh after it', run: refreshAfterReuse },
  { name: 'logout', run: logout },
]
