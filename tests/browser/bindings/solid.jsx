// The app in Solid.
import { For, Show } from 'solid-js'
import { hydrate as hydrateApp, render } from 'solid-js/web'
import { AuthProvider, RequireSession, useAuth, useSession, useUserChange } from 'strongroom/solid'

const State = () => {
  const auth = useAuth()
  const session = useSession()
  useUserChange(() => userChanges++)
  return (
    <p>
      <b id="status">{auth.state.status}</b>
      <b id="user">{session()?.claims.sub ?? 'nobody'}</b>
      <b id="reason">{auth.state.endReason ?? 'no reason'}</b>
    </p>
  )
}

const Buttons = () => {
  const auth = useAuth()
  return (
    <For each={['login', 'logout', 'reconnect']}>
      {(name) => (
        <button id={name} onClick={() => auth[name]()}>
          {name}
        </button>
      )}
    </For>
  )
}

export const App = (props) => (
  <AuthProvider auth={props.auth}>
    <State />
    <Buttons />
    <Show when={props.isGuarded}>
      <RequireSession fallback={<i id="fallback">Sign in</i>} pending={<i id="pending">Wait</i>}>
        <i id="guarded">Orders</i>
      </RequireSession>
    </Show>
  </AuthProvider>
)

export const mount = (auth, element, isGuarded) =>
  render(() => <App auth={auth} isGuarded={isGuarded} />, element)

export const hydrate = (auth, element, isGuarded) =>
  hydrateApp(() => <App auth={auth} isGuarded={isGuarded} />, element)
