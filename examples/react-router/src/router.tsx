import { createBrowserRouter, redirect, type MiddlewareFunction } from 'react-router'
import { auth } from './auth'
import { Guarded, Problem } from './guarded'
import { Orders } from './orders'
import { ordersQuery, queryClient } from './queries'

/**
 * Runs before the loaders of all guarded routes. Without a session, signs the user in by redirect, and the login returns
 * to the page that the user wanted. If the user has to decide about a login, `Problem` shows the button.
 */
const guard: MiddlewareFunction = async ({ request }) => {
  const { pathname, search } = new URL(request.url)
  const session = await auth.requireSession({ returnTo: pathname + search })
  if (!session) throw new Response(null, { status: 401 })
}

export const router = createBrowserRouter([
  {
    ErrorBoundary: Problem,
    HydrateFallback: () => null,
    children: [
      { index: true, loader: () => redirect('/orders') },
      {
        middleware: [guard],
        Component: Guarded,
        children: [
          { path: 'orders', loader: () => queryClient.ensureQueryData(ordersQuery), Component: Orders },
        ],
      },
    ],
  },
])

// When a session begins or ends, in any tab, the guard and the loaders of the current page run again.
let user: string | null | undefined
auth.subscribe(({ status, session }) => {
  if (status === 'connecting') return
  const current = session?.claims.sub ?? null
  const isFirst = user === undefined
  if (current === user) return
  user = current
  if (isFirst) return
  queryClient.clear() // the next user must not see the data of this one
  void router.revalidate()
})
