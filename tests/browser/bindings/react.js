// The app in React.
import { createElement as h, StrictMode } from 'react'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { AuthProvider, RequireSession, useAuth, useSession, useUserChange } from 'strongroom/react'

const State = () => {
  const { status, endReason } = useAuth()
  const session = useSession()
  useUserChange(() => userChanges++)
  return h(
    'p',
    null,
    h('b', { id: 'status' }, status),
    h('b', { id: 'user' }, session?.claims.sub ?? 'nobody'),
    h('b', { id: 'reason' }, endReason ?? 'no reason'),
  )
}

const Buttons = () => {
  const auth = useAuth()
  return ['login', 'logout', 'reconnect'].map((name) =>
    h('button', { key: name, id: name, onClick: () => auth[name]() }, name),
  )
}

export const App = ({ auth, isGuarded }) =>
  h(
    StrictMode,
    null,
    h(
      AuthProvider,
      { auth },
      h(State),
      h(Buttons),
      isGuarded &&
        h(
          RequireSession,
          { fallback: h('i', { id: 'fallback' }, 'Sign in'), pending: h('i', { id: 'pending' }, 'Wait') },
          h('i', { id: 'guarded' }, 'Orders'),
        ),
    ),
  )

export const mount = (auth, element, isGuarded) => {
  const root = createRoot(element)
  root.render(h(App, { auth, isGuarded }))
  return () => root.unmount()
}

/** Mounts a page that uses no hook and no other component. */
export const mountProvider = (auth, element) => createRoot(element).render(h(AuthProvider, { auth }))

export const hydrate = (auth, element, isGuarded) => hydrateRoot(element, h(App, { auth, isGuarded }))
