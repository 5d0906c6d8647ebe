import { UserManager, WebStorageStateStore } from 'oidc-client-ts'
import { visit } from './visit.js'

const manager = new UserManager({
  authority: import.meta.env.VITE_ISSUER,
  client_id: import.meta.env.VITE_CLIENT,
  redirect_uri: `${location.origin}/callback/oidc-client-ts`,
  scope: import.meta.env.VITE_SCOPE,
  prompt: 'consent',
  userStore: new WebStorageStateStore({ store: localStorage }),
})
visit({
  login: () => manager.signinRedirect(),
  callback: () => manager.signinCallback(),
  async fetch(url) {
    const stored = await manager.getUser()
    const user = stored.expired ? await manager.signinSilent() : stored
    return fetch(url, { headers: { Authorization: `Bearer ${user.access_token}` } })
  },
})
