/** The page that answers logout requests in the static demo: it leads back to the demo (OIDC RP-Initiated Logout 1.0). */
import { home } from './addresses.js'

const request = new URLSearchParams(location.search)
const target = new URL(home)
const state = request.get('state')
if (state) target.searchParams.set('state', state)
location.replace(request.get('post_logout_redirect_uri') === home ? target : home)
