/** With automatic silent renewal, as by default, and a store that all tabs share. */
import '/config.js'
import { UserManager, WebStorageStateStore } from 'oidc-client-ts'
import { run } from './page.js'

run(async ({ show, config, home }) => {
  const manager = new UserManager({
    authority: config.issuer,
    client_id: config.clientId,
    redirect_uri: `${home}/callback`,
    post_logout_redirect_uri: `${home}/`,
    scope: 'openid profile offline_access',
    userStore: new WebStorageStateStore({ store: localStorage }),
    // By default 60 seconds, a fifth of five minutes.
    accessTokenExpiringNotificationTimeInSeconds: config.lifetime / 5,
  })
  // As in react-oidc-context, which takes the token from the user of the last event.
  let user
  const set = (next) => {
    user = next
    show(user && !user.expired ? user.profile.sub : null)
  }
  manager.events.addUserLoaded(set)
  manager.events.addUserUnloaded(() => set(null))
  manager.events.addUserSignedOut(() => set(null))
  if (location.pathname === '/callback') {
    await manager.signinRedirectCallback()
    history.replaceState(null, '', '/')
  }
  set(await manager.getUser())
  return {
    signIn: () => manager.signinRedirect(),
    logout: () => manager.signoutRedirect(),
    fetch: (url) => fetch(url, { headers: { Authorization: `Bearer ${user?.access_token}` } }),
  }
})
