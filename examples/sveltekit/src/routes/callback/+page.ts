import { auth } from '$lib/auth'

// Finishes the login. `onReturn` then shows the page that the user wanted.
export const load = () => auth.connect().then(() => ({}))
