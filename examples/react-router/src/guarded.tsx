import { isRouteErrorResponse, Outlet, useRouteError } from 'react-router'
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

/** Shown in place of the guarded routes if the guard, a loader or a component has failed. */
export const Problem = () => {
  const failure = useRouteError()
  const { login, session, error } = useAuth()
  if (!session && isRouteErrorResponse(failure) && failure.status === 401) {
    return (
      <>
        <p>{error?.message}</p>
        <button onClick={() => login()}>Sign in</button>
      </>
    )
  }
  return <p role="alert">{failure instanceof Error ? failure.message : 'This page does not exist.'}</p>
}
