import type { ReactNode } from 'react'
import { isRouteErrorResponse, Links, Meta, Outlet, Scripts } from 'react-router'
import { strongroom } from 'strongroom/edge/react-router'
import type { Route } from './+types/root'
import { handler } from './handler.server'

export const middleware: Route.MiddlewareFunction[] = [strongroom(handler)]

export const Layout = ({ children }: { children: ReactNode }) => (
  <html lang="en">
    <head>
      <meta charSet="utf-8" />
      <Meta />
      <Links />
    </head>
    <body>
      {children}
      <Scripts />
    </body>
  </html>
)

export const ErrorBoundary = ({ error }: Route.ErrorBoundaryProps) => {
  const status = isRouteErrorResponse(error) ? error.status : 500
  return <p>{status === 404 ? 'The app does not know this page.' : 'This did not work. Please try again.'}</p>
}

export default function App() {
  return <Outlet />
}
