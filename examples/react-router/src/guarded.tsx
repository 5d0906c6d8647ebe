import { isRouteErrorResponse, Outlet, useRouteError } from 'react-router'
import { userMessage } from 'strongroom/messages'
import { useAuth, useSession } from 'strongroom/react'

/** The layout of all guarded routes. Hides them at once when the session ends. */
export const Guarded = () => {
  const session = useSession()
  const { logout } = useAuth()
  if (!session) return <p>One moment …</p>
  return (
    <>
      <h1>Orders of {session.claims.name}</h1>
      <Outlet />
      <button onClick={() => logout()}>Sign out</button>
    </>
  )
}

/** Shown in place of the routes if the guard, a loader or a component has failed. */
export const Problem = () => {
  const failure = useRouteError()
  const { login, error } = useAuth()
  const status = isRouteErrorResponse(failure) ? failure.status : undefined
  if (status === 404) return <p>This page does not exist.</p>
  if (status !== 401) return <p role="alert">{userMessage(failure)}</p>
  return (
    <>
      <p>{userMessage(error)}</p>
      <button onClick={() => login()}>Sign in</button>
    </>
  )
}
